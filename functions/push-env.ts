import * as z from 'zod'
import { LakehouseEnv } from './lakehouse-env.ts'

/** What every function of push is told. */
export const PushEnv = LakehouseEnv.extend({
  EVENTS_QUEUE_URL: z.string().min(1),
  FLUSHED_QUEUE_URL: z.string().min(1),
})

export type PushEnv = z.infer<typeof PushEnv>
