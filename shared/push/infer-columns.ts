import { inferSchema, sampleRecords } from '../schema/infer.ts'
import { foldName } from '../schema/names.ts'
import type { Field, LogicalType } from '../schema/types.ts'
import type { Encoding } from './frames.ts'
import type { Intervals } from './intervals.ts'
import { decompress, type PushLimits } from './payload.ts'
import { keepRecords } from './records.ts'

/** Records looked at. A type that a later record contradicts gets that record rejected, as any other. */
const SAMPLE = 10_000
/** A record nested deeper gives no columns. */
const MAX_DEPTH = 20

/**
 * The columns of a batch's records, or of those at the positions `keep`. Names that a Delta table cannot hold without column
 * mapping are left out at every depth, and of names that differ only in case all but the first.
 */
export function columnsOfRecords(
  batch: { body: Uint8Array; encoding: Encoding },
  limits: PushLimits,
  keep?: Intervals,
): readonly Field[] {
  const body = decompress(batch.body, batch.encoding, limits.batchBytes)
  const records = [...sampleRecords(keep ? keepRecords(body, keep) : body, SAMPLE)]
  return usable(inferSchema(records.filter((record) => isShallow(record, MAX_DEPTH))).fields)
}

function usable(fields: readonly Field[]): Field[] {
  const names = new Set<string>()
  return fields.flatMap((field) => {
    const folded = foldName(field.name)
    const type = usableType(field.type)
    if (!/^[^ ,;{}()\n\t=]+$/.test(field.name) || names.has(folded) || !type) return []
    names.add(folded)
    return [{ ...field, type }]
  })
}

/** Undefined when nothing of it can be held. */
function usableType(type: LogicalType): LogicalType | undefined {
  if (type.kind === 'struct') {
    const fields = usable(type.fields)
    return fields.length > 0 ? { ...type, fields } : undefined
  }
  if (type.kind !== 'array') return type
  const element = usableType(type.element)
  return element && { ...type, element }
}

function isShallow(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return true
  return depth > 0 && Object.values(value).every((inner) => isShallow(inner, depth - 1))
}
