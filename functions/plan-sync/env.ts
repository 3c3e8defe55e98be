import * as z from 'zod'
import { LakehouseEnv } from '../lakehouse-env.ts'

export const Env = LakehouseEnv.extend({ CONNECTOR: z.string().min(1) })
