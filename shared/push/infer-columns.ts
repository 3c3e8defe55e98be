import { inferSchema } from '../schema/infer.ts'
import { foldName } from '../schema/names.ts'
import type { Field, Schema } from '../schema/types.ts'
import type { Encoding } from './frames.ts'
import { decompress, type PushLimits } from './payload.ts'

/** Records looked at. A type that a later record contradicts gets that record rejected, as any other. */
const SAMPLE = 10_000

/**
 * The columns of a batch that the schema does not have, from the records themselves. Names that a Delta table cannot hold
 * without column mapping are left out.
 */
export function newColumns(
  batch: { body: Uint8Array; encoding: Encoding },
  known: Schema,
  limits: PushLimits,
): readonly Field[] {
  const text = Buffer.from(decompress(batch.body, batch.encoding, limits.batchBytes)).toString('utf8')
  const rows = text.split('\n', SAMPLE).flatMap(parseRow)
  const names = new Set(known.fields.map((field) => foldName(field.name)))
  return inferSchema(rows).fields.filter(({ name }) => {
    const fresh = /^[^ ,;{}()\n\t=]+$/.test(name) && !names.has(foldName(name))
    names.add(foldName(name))
    return fresh
  })
}

function parseRow(line: string): unknown[] {
  try {
    return [JSON.parse(line)]
  } catch {
    return []
  }
}
