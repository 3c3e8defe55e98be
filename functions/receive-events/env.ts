import * as z from 'zod'
import { PushEnv } from '../push-env.ts'

/**
 * CALLBACK_URL: where frames that answer nothing are posted, API Gateway's `@connections`. POST_URL: below it producers post
 * frames of their connections.
 */
export const Env = PushEnv.extend({ CALLBACK_URL: z.url(), POST_URL: z.url() })
