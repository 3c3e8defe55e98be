import type { Filter } from '../connector/filter.ts'
import type { Random } from '../core/random.ts'
import { columnBounds, fileMayContain, fileRows } from '../delta/skipping.ts'
import type { TableSnapshot } from '../delta/table.ts'
import { quoted } from '../load/sql.ts'
import { findField } from '../schema/names.ts'

/** A part of a table to look at instead of all of it. */
export interface Sample {
  /** The files that may hold its rows. */
  table: TableSnapshot
  /** Its rows, for the source and in SQL over the table's columns. */
  filter: Filter
  where: string
}

/** About as many rows are in one range. */
const RANGE_ROWS = 10_000
const WHOLE: ReadonlySet<string> = new Set(['byte', 'short', 'integer', 'long'])

/**
 * Random ranges of a key's leading column, chosen from the log alone: each begins inside a random file, at least at its
 * lowest key. Undefined where that column is no whole number, or no file tells its bounds: other types are not in the same
 * order everywhere.
 */
export function sampleRanges(
  table: TableSnapshot,
  key: readonly string[],
  count: number,
  random: Random,
): Sample | undefined {
  const lead = findField(table.schema.fields, key[0] ?? '')
  if (!lead || !WHOLE.has(lead.type.kind)) return undefined
  const known = [...table.files.values()].flatMap((file) => {
    const { min, max } = columnBounds(file, table, [lead.name]) ?? {}
    const rows = fileRows(file)
    return typeof min === 'bigint' && typeof max === 'bigint' && rows ? [{ min, max, rows }] : []
  })
  if (known.length === 0) return undefined
  const ranges = Array.from({ length: count }, () => {
    const { min, max, rows } = known[Math.floor(random.next() * known.length)]!
    const span = max - min + 1n
    const low = min + (span * BigInt(Math.floor(random.next() * 2 ** 30))) / 2n ** 30n
    return { min: low, max: low + (span * BigInt(RANGE_ROWS)) / BigInt(rows) }
  })
  const inRange = (range: { min: bigint; max: bigint }) => [{ column: [lead.name], ...range }]
  const files = [...table.files].filter(([, file]) =>
    ranges.some((range) => fileMayContain(file, table, inRange(range))),
  )
  const at = (op: '>=' | '<=', value: bigint): Filter => ({
    op,
    column: lead.name,
    value: { text: String(value), kind: 'number' },
  })
  return {
    table: { ...table, files: new Map(files) },
    filter: {
      op: 'or',
      terms: ranges.map(({ min, max }): Filter => ({ op: 'and', terms: [at('>=', min), at('<=', max)] })),
    },
    where: ranges.map(({ min, max }) => `${quoted(lead.name)} between ${min} and ${max}`).join(' or '),
  }
}
