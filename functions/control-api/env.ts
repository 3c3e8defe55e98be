import * as z from 'zod'

export const Env = z.object({
  LAKEHOUSE_BUCKET: z.string().min(1),
  STATE_TABLE: z.string().min(1),
  CATALOG: z.string().min(1),
  STAGE: z.string().min(1),
  CONNECTORS: z.string().min(1),
  STATE_MACHINE_ARN: z.string().min(1),
  SCHEDULE_GROUP: z.string().min(1),
  SCHEDULE_ROLE_ARN: z.string().min(1),
  SCHEDULE_DEAD_LETTERS_ARN: z.string().min(1),
  SCHEDULE_WINDOW_MINUTES: z.coerce.number().int().min(0),
  NOTICES_TOPIC_ARN: z.string().min(1),
  PLAN_PREFIX: z.string().min(1),
})
