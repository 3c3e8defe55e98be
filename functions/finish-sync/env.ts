import * as z from 'zod'
import { LakehouseEnv } from '../lakehouse-env.ts'

export const Env = LakehouseEnv.extend({ NOTICES_TOPIC_ARN: z.string().min(1) })
