import * as z from 'zod'

export const Env = z.object({ STATE_TABLE: z.string().min(1), STAGE: z.string().min(1) })
