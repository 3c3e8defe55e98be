import * as z from 'zod'
import { PushEnv } from '../push-env.ts'

/** CALLBACK_URL: where frames that answer nothing are posted, API Gateway's `@connections`. */
export const Env = PushEnv.extend({ CALLBACK_URL: z.url() })
