import type { LeafStats } from '../columnar/batch-writer.ts'
import { physicalName } from '../delta/column-mapping.ts'
import type { Field, LogicalType } from '../schema/types.ts'

/** What COPY says of one column, as text: `{ null_count: '0', min: '1', max: '9' }`. */
export type ColumnStatistics = ReadonlyMap<string, string>

/** COPY cuts the bounds of longer strings (and rounds a maximum up). */
const STRING_BOUND_BYTES = 256

/**
 * COPY's RETURN_STATS as the kernel's statistics. A bound this cannot read is left out, which is always right. Lists and
 * maps are left out: COPY counts their elements, Delta the lists.
 */
export function leafStats(fields: readonly Field[], columns: ReadonlyMap<string, ColumnStatistics>): LeafStats[] {
  const leaves: LeafStats[] = []
  const visit = (at: readonly Field[], path: readonly string[]) => {
    for (const field of at) {
      const here = [...path, physicalName(field)]
      if (field.type.kind === 'struct') visit(field.type.fields, here)
      const found = columns.get(here.map((name) => `"${name.replaceAll('"', '""')}"`).join('.'))
      if (found?.has('null_count')) leaves.push(leaf(here, field.type, found))
    }
  }
  visit(fields, [])
  return leaves
}

function leaf(path: readonly string[], type: LogicalType, found: ColumnStatistics): LeafStats {
  const min = bound(found.get('min'), type)
  // A NaN is greater than all, and COPY's maximum passes over it.
  const max = found.get('has_nan') === 'true' ? undefined : bound(found.get('max'), type)
  const exact = [min, max].every((text) => typeof text !== 'string' || Buffer.byteLength(text) < STRING_BOUND_BYTES)
  return {
    path,
    nulls: Number(found.get('null_count')),
    ...(min === undefined ? {} : { min }),
    ...(max === undefined ? {} : { max }),
    exact,
  }
}

/** `"1.50"` of decimal(10,2) -> `150n`; `"2024-01-01 00:00:00.5+00"` -> microseconds. */
function bound(text: string | undefined, type: LogicalType): LeafStats['min'] {
  if (text === undefined) return undefined
  switch (type.kind) {
    case 'byte':
    case 'short':
    case 'integer':
    case 'long':
      return BigInt(text)
    case 'decimal':
      return BigInt(text.replace('.', ''))
    case 'float':
    case 'double': {
      const value = Number(text)
      return Number.isFinite(value) ? value : undefined
    }
    case 'date': {
      const micros = instant(`${text} 00:00:00`)
      return micros === undefined ? undefined : micros / 86_400_000_000n
    }
    case 'timestamp':
    case 'timestamp_ntz':
      return instant(text)
    case 'string':
    case 'variant':
      // Cut inside a character, a bound is not text any more.
      return text.includes('\ufffd') ? undefined : text
    default:
      return undefined
  }
}

function instant(text: string): bigint | undefined {
  const parts = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?(?:\+00)?$/.exec(text)
  if (!parts) return undefined
  const millis = Date.parse(`${parts[1]}T${parts[2]}Z`)
  return BigInt(millis) * 1000n + BigInt((parts[3] ?? '').padEnd(6, '0'))
}
