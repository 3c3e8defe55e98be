import * as z from 'zod'
import { IngestError } from '../../core/errors.ts'
import type { Json } from '../../core/json.ts'
import { type LogPlace, logPlace } from './log-place.ts'
import { type Shape, shape } from './shape.ts'

/** Where a stream of the log stands: behind a transaction, with the table's columns as they were there. */
export interface LogCursor {
  place: LogPlace
  shape: Shape
}

const cursor = z.strictObject({ place: logPlace, shape })

/** @throws IngestError `state.invalid` (fix) */
export function parseLogCursor(json: Json): LogCursor {
  const parsed = cursor.safeParse(json)
  if (!parsed.success) throw new IngestError('state.invalid', 'the stored cursor of a change capture is not understood')
  return parsed.data as LogCursor
}
