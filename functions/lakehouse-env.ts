import * as z from 'zod'

/** What every function that reads or writes the lakehouse is told. */
export const LakehouseEnv = z.object({
  LAKEHOUSE_BUCKET: z.string().min(1),
  STATE_TABLE: z.string().min(1),
  CATALOG: z.string().min(1),
  STAGE: z.string().min(1),
})

export type LakehouseEnv = z.infer<typeof LakehouseEnv>
