import * as z from 'zod'
import { IngestError } from '../../core/errors.ts'
import type { Json } from '../../core/json.ts'
import type { Lsn } from './lsn.ts'
import type { Shape } from './shape.ts'

/** Where a stream of the log stands: behind a commit, in one cluster, with the table's columns as they were there. */
export interface LogCursor {
  lsn: Lsn
  system: string
  table: number
  /** Which entry of the publication the table was. */
  published: number
  shape: Shape
}

const cursor = z.strictObject({
  lsn: z.string().regex(/^[0-9A-F]{8}\/[0-9A-F]{8}$/),
  system: z.string(),
  table: z.number(),
  published: z.number(),
  shape: z.array(z.tuple([z.number(), z.string(), z.number(), z.number().optional()])),
})

/** @throws IngestError `state.invalid` (fix) */
export function parseLogCursor(json: Json): LogCursor {
  const parsed = cursor.safeParse(json)
  if (!parsed.success) throw new IngestError('state.invalid', 'the stored cursor of a change capture is not understood')
  return parsed.data
}
