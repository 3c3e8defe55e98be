import { findField } from '../schema/names.ts'
import type { Field, LogicalType } from '../schema/types.ts'
import type { AddFile } from './actions.ts'
import { physicalName } from './column-mapping.ts'
import type { TableSnapshot } from './table.ts'
import { type Comparable, compareValues, parseValue } from './values.ts'

/** What a file's log entry tells of one leaf column. An absent bound is not known. */
export interface ColumnBounds {
  min?: Comparable
  max?: Comparable
  nulls?: number
}

/** Rows are wanted whose column is inside [min, max], or null where `orNull`. An absent side is open. */
export interface ColumnRange {
  /** The column's name, and the names inside structs after it. Names ignore case. */
  column: readonly string[]
  min?: Comparable
  max?: Comparable
  orNull?: boolean
}

/**
 * False only when the log proves that no row of the file is inside all ranges. Never wrong about a file without
 * statistics, with bounds that were cut or rounded, or with rows deleted by a deletion vector: those may contain anything
 * their bounds allow.
 */
export function fileMayContain(file: AddFile, table: TableSnapshot, ranges: readonly ColumnRange[]): boolean {
  const rows = fileRows(file)
  return ranges.every(({ column, min, max, orNull }) => {
    const bounds = columnBounds(file, table, column)
    if (!bounds) return true
    if (orNull && bounds.nulls !== 0) return true
    if (rows !== undefined && bounds.nulls === rows && (min !== undefined || max !== undefined)) return false
    return !(
      (min !== undefined && bounds.max !== undefined && compareValues(bounds.max, min) < 0) ||
      (max !== undefined && bounds.min !== undefined && compareValues(bounds.min, max) > 0)
    )
  })
}

/** The physical row count of a file, where its log entry has it. Rows deleted by a deletion vector are counted. */
export function fileRows(file: AddFile): number | undefined {
  const rows = statsOf(file)?.numRecords
  return rows === undefined ? undefined : Number((rows as Raw).text)
}

/** The bounds of one column, from the partition value or the statistics. Undefined when nothing is known of it. */
export function columnBounds(file: AddFile, table: TableSnapshot, column: readonly string[]): ColumnBounds | undefined {
  const found = leafOf(table.schema.fields, column)
  if (!found) return undefined
  const { path, type } = found
  if (column.length === 1 && table.metadata.partitionColumns.includes(found.name)) {
    const text = file.partitionValues[path[0]!]
    if (text == null || text === '') return { nulls: fileRows(file) ?? Number.NaN }
    const value = parseValue(text, type)
    return value === undefined ? undefined : { min: value, max: value, nulls: 0 }
  }
  const stats = statsOf(file)
  if (!stats) return undefined
  const min = boundOf(stats.minValues, path, type)
  const max = boundOf(stats.maxValues, path, type)
  const nulls = at(stats.nullCount, path)
  return {
    ...(min === undefined ? {} : { min }),
    ...(max === undefined ? {} : { max: roundedUp(max, type, at(stats.maxValues, path)) }),
    ...(nulls instanceof Raw ? { nulls: Number(nulls.text) } : {}),
  }
}

/** A number as it stands in the text: 64-bit integers and decimals do not fit a JavaScript number. */
class Raw {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

type Stats = Record<string, unknown>

const parsed = new WeakMap<AddFile, Stats | null>()

/** Statistics by file, parsed once: the same add is in every later snapshot. Text that is no JSON is no statistics. */
function statsOf(file: AddFile): Stats | undefined {
  const known = parsed.get(file)
  if (known !== undefined) return known ?? undefined
  let stats: Stats | null = null
  try {
    const reviver = (_: string, value: unknown, context: { source?: string }) =>
      typeof value === 'number' ? new Raw(context.source ?? String(value)) : value
    stats = file.stats ? (JSON.parse(file.stats, reviver as (key: string, value: unknown) => unknown) as Stats) : null
  } catch {
    stats = null
  }
  parsed.set(file, stats)
  return stats ?? undefined
}

function at(tree: unknown, path: readonly string[]): unknown {
  let here = tree
  for (const name of path) here = (here as Record<string, unknown> | undefined)?.[name]
  return here
}

function boundOf(tree: unknown, path: readonly string[], type: LogicalType): Comparable | undefined {
  const found = at(tree, path)
  if (found instanceof Raw) return parseValue(found.text, type)
  return typeof found === 'string' ? parseValue(found, type) : undefined
}

/** Writers cut timestamps to milliseconds, so the true maximum may be almost one more. */
function roundedUp(max: Comparable, type: LogicalType, raw: unknown): Comparable {
  if (type.kind !== 'timestamp' && type.kind !== 'timestamp_ntz') return max
  const digits = /\.(\d+)/.exec(String(raw))?.[1]?.length ?? 0
  return digits > 3 ? max : (max as bigint) + 999n
}

function leafOf(
  fields: readonly Field[],
  column: readonly string[],
): { name: string; path: string[]; type: LogicalType } | undefined {
  const field = findField(fields, column[0] ?? '')
  if (!field) return undefined
  const here = physicalName(field)
  if (column.length === 1) return { name: field.name, path: [here], type: field.type }
  if (field.type.kind !== 'struct') return undefined
  const inner = leafOf(field.type.fields, column.slice(1))
  return inner && { ...inner, path: [here, ...inner.path] }
}
