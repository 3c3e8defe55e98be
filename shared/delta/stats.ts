import type { FinishedFile, LeafStats } from '../columnar/batch-writer.ts'
import type { LogicalType, Schema } from '../schema/types.ts'
import type { AddFile, Metadata } from './actions.ts'
import { physicalName } from './column-mapping.ts'
import { encodePath } from './file-path.ts'

/** Bounds of strings keep this many UTF-16 units, as Delta's own writer does. */
const STRING_PREFIX = 32
const DEFAULT_INDEXED_COLUMNS = 32

/**
 * A finished Parquet file as the `add` of a commit, with statistics. `path` is relative to the table and not encoded;
 * `schema` is the one the file was written with, partition columns left out; `partitionValues` are serialised as the
 * protocol says, under physical names.
 */
export function addFile(
  path: string,
  file: FinishedFile,
  schema: Schema,
  metadata: Metadata,
  options: {
    modificationTimeMs: number
    partitionValues?: Readonly<Record<string, string | null>>
    tags?: Readonly<Record<string, string>>
  },
): AddFile {
  return {
    path: encodePath(path),
    partitionValues: options.partitionValues ?? {},
    size: file.sizeBytes,
    modificationTime: options.modificationTimeMs,
    dataChange: true,
    stats: fileStats(file.stats, schema, file.rows, metadata.configuration),
    ...(options.tags ? { tags: options.tags } : {}),
  }
}

/**
 * The text of `add.stats` (Delta protocol, "Per-file Statistics"): row count, and null counts and bounds of the first
 * 32 leaf columns or as the table's properties say. Bounds are never too tight: long strings are cut, a maximum rounded
 * up, and one that cannot be is left out. Keys are the physical names, as the leaves' paths are.
 */
export function fileStats(
  leaves: readonly LeafStats[],
  schema: Schema,
  rows: number,
  configuration: Readonly<Record<string, string>> = {},
): string {
  const byPath = new Map(leaves.map((leaf) => [leaf.path.join('\0'), leaf]))
  const [minimum, maximum, nulls]: [Tree, Tree, Tree] = [new Map(), new Map(), new Map()]
  for (const { path, type } of indexedLeaves(schema, configuration)) {
    const leaf = byPath.get(path.join('\0'))
    if (!leaf) continue
    put(nulls, path, String(leaf.nulls))
    const min = boundText(leaf.min, type, 'min')
    const max = boundText(leaf.max, type, 'max')
    if (min !== undefined) put(minimum, path, min)
    if (max !== undefined) put(maximum, path, max)
  }
  return `{"numRecords":${rows},"minValues":${treeText(minimum)},"maxValues":${treeText(maximum)},"nullCount":${treeText(nulls)}}`
}

/** The leaf columns a table keeps statistics for, by physical path. Arrays and maps are not descended into. */
export function indexedLeaves(
  schema: Schema,
  configuration: Readonly<Record<string, string>> = {},
): { path: string[]; type: LogicalType }[] {
  const all: { path: string[]; logical: string[]; type: LogicalType }[] = []
  const visit = (fields: Schema['fields'], path: string[], logical: string[]) => {
    for (const field of fields) {
      const [here, name] = [
        [...path, physicalName(field)],
        [...logical, field.name],
      ]
      if (field.type.kind === 'struct') visit(field.type.fields, here, name)
      else if (field.type.kind !== 'void') all.push({ path: here, logical: name, type: field.type })
    }
  }
  visit(schema.fields, [], [])
  const named = configuration['delta.dataSkippingStatsColumns']
  if (named !== undefined) {
    const wanted = named.split(',').map((name) => name.trim().replaceAll('`', '').toLowerCase())
    return all.filter(({ logical }) => {
      const name = logical.join('.').toLowerCase()
      return wanted.some((each) => each === name || name.startsWith(`${each}.`))
    })
  }
  const limit = Number(configuration['delta.dataSkippingNumIndexedCols'] ?? DEFAULT_INDEXED_COLUMNS)
  return limit < 0 ? all : all.slice(0, limit)
}

/** A bound as JSON text, or undefined for a type without bounds or a value without a form. */
export function boundText(value: LeafStats['min'], type: LogicalType, side: 'min' | 'max'): string | undefined {
  if (value === undefined) return undefined
  switch (type.kind) {
    case 'byte':
    case 'short':
    case 'integer':
    case 'long':
      return String(value)
    case 'float':
    case 'double':
      return Number.isFinite(value) ? floatText(value as number, side) : undefined
    case 'decimal':
      return decimalText(BigInt(value as bigint), type.scale)
    case 'date':
      return dateText(Number(value))
    case 'timestamp':
      return timestampText(BigInt(value as bigint), 'Z')
    case 'timestamp_ntz':
      return timestampText(BigInt(value as bigint), '')
    case 'string':
    case 'variant': {
      const bound =
        side === 'min' ? (value as string).slice(0, prefixEnd(value as string)) : stringMaximum(value as string)
      return bound === undefined ? undefined : JSON.stringify(bound)
    }
    default:
      return undefined
  }
}

/** An unscaled decimal as plain digits: `decimalText(-5n, 2)` is `-0.05`. */
export function decimalText(unscaled: bigint, scale: number): string {
  if (scale === 0) return unscaled.toString()
  const digits = (unscaled < 0n ? -unscaled : unscaled).toString().padStart(scale + 1, '0')
  return `${unscaled < 0n ? '-' : ''}${digits.slice(0, -scale)}.${digits.slice(-scale)}`
}

type Tree = Map<string, string | Tree>

function put(tree: Tree, path: readonly string[], text: string) {
  let at = tree
  for (const name of path.slice(0, -1)) {
    const next = at.get(name)
    if (next instanceof Map) at = next
    else {
      const fresh: Tree = new Map()
      at.set(name, fresh)
      at = fresh
    }
  }
  at.set(path.at(-1)!, text)
}

const treeText = (tree: Tree): string =>
  `{${[...tree].map(([name, inner]) => `${JSON.stringify(name)}:${typeof inner === 'string' ? inner : treeText(inner)}`).join(',')}}`

/** Zero has two signs and readers may compare them; the bounds hold both. */
const floatText = (value: number, side: 'min' | 'max') =>
  value === 0 ? (side === 'min' ? '-0.0' : '0.0') : String(value)

const MILLIS_A_DAY = 86_400_000

/** JavaScript has dates of the years -271820 to 275759; Delta's text form has 0001 to 9999. */
function dateText(days: number): string | undefined {
  const text = isoText(days * MILLIS_A_DAY)
  return text && `"${text.slice(0, 10)}"`
}

/** Cut to milliseconds, downwards; readers add one to a maximum. */
function timestampText(micros: bigint, zone: 'Z' | ''): string | undefined {
  const millis = (micros - (((micros % 1000n) + 1000n) % 1000n)) / 1000n
  const text = isoText(Number(millis))
  return text && `"${text.slice(0, -1)}${zone}"`
}

function isoText(millis: number): string | undefined {
  const date = new Date(millis)
  const year = date.getUTCFullYear()
  return year >= 1 && year <= 9999 ? date.toISOString() : undefined
}

/** At most 32 units, and never half of a surrogate pair. */
function prefixEnd(text: string): number {
  if (text.length <= STRING_PREFIX) return text.length
  const last = text.charCodeAt(STRING_PREFIX - 1)
  return last >= 0xd800 && last <= 0xdbff ? STRING_PREFIX - 1 : STRING_PREFIX
}

/**
 * A text not less than `text` in the order of UTF-8, of 32 units and one more character: U+007F where that is above the
 * next character, else U+10FFFF.
 */
function stringMaximum(text: string): string | undefined {
  const end = prefixEnd(text)
  if (end === text.length) return text
  const next = text.codePointAt(end)!
  if (next < 0x7f) return `${text.slice(0, end)}\u007f`
  return next === 0x10ffff ? undefined : `${text.slice(0, end)}\u{10ffff}`
}
