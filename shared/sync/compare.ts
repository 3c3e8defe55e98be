import { hash } from 'node:crypto'
import type { Stream } from '../connector/connector.ts'
import type { TableSnapshot } from '../delta/table.ts'
import type { Engine } from '../load/engine.ts'
import { findField } from '../schema/names.ts'
import type { Field } from '../schema/types.ts'
import type { Storage } from '../storage/storage.ts'
import type { Canonical } from './canonical.ts'
import { eachSourceRow, eachTableRow, type TakeRow } from './compare-rows.ts'

/** How one side of a comparison looks, whatever the order of its rows. */
export interface Digest {
  rows: number
  /** The sum of the hashes of the whole rows: tells rows whose values were exchanged. */
  all: string
  /** By column: how many are null, and the sum of the hashes of the values. */
  columns: Record<string, { nulls: number; sum: string }>
  /** The sums of the rows' hashes by a hash of the key: the ranges to look at more closely where two sides differ. */
  ranges: BigUint64Array
}

export interface Comparison {
  equal: boolean
  /** `orders: 10 rows in the source, 9 in the table`; empty when equal. */
  differences: readonly string[]
  source: Digest
  table: Digest
}

export interface CompareOptions {
  /** Columns that name a row. Default: the whole row does. */
  key?: readonly string[]
  /** SQL over the table's columns: only these rows are the source's. Default: all. */
  where?: string
  /** Keys of rows in the quarantine, as `keyText` has them. */
  setAside?: ReadonlySet<string>
}

interface ComparePorts {
  storage: Storage
  engine: Engine
}

/** Of 10,000,000 rows that differ in a few places, all but a few thousand are ruled out. */
const RANGES = 4096

/**
 * Compares what the source holds now with what a table holds, value by value. Neither side goes through the writer: the
 * source's cells are parsed here, the table is read by the query engine.
 *
 * @param stream a snapshot stream with the columns to compare
 */
export async function compareTable(
  stream: Stream,
  table: TableSnapshot,
  ports: ComparePorts,
  { key = [], where }: CompareOptions = {},
): Promise<Comparison> {
  const { fields } = stream.schema
  const lacking = fields.find(({ name }) => !findField(table.schema.fields, name))
  const shared = fields.filter(({ name }) => findField(table.schema.fields, name))
  const at = shared.map(({ name }) => fields.findIndex((field) => field.name === name))
  const [a, b] = [new DigestSum(shared, key), new DigestSum(shared, key)]
  await eachSourceRow(stream, (values) => a.add(at.map((i) => values[i]!)))
  await eachTableRow(shared, table, ports, (values) => b.add(values), where)
  const [source, stored] = [a.digest(), b.digest()]
  const differences = lacking ? [`${lacking.name}: a column of the source that the table does not have`] : []
  if (source.rows !== stored.rows)
    differences.push(`${stream.name}: ${source.rows} rows in the source, ${stored.rows} in the table`)
  // A row too many makes every column differ, which tells nothing.
  else differences.push(...differentColumns(shared, source, stored))
  if (differences.length === 0 && source.all !== stored.all)
    differences.push(`${stream.name}: the columns hold the same values, but not in the same rows`)
  return { equal: differences.length === 0, differences, source, table: stored }
}

function differentColumns(fields: readonly Field[], source: Digest, table: Digest): string[] {
  const named = fields.map(({ name }) => ({ name, x: source.columns[name]!, y: table.columns[name]! }))
  const nulls = named
    .filter(({ x, y }) => x.nulls !== y.nulls)
    .map(({ name, x, y }) => `${name}: ${x.nulls} nulls in the source, ${y.nulls} in the table`)
  const values = named.filter(({ x, y }) => x.sum !== y.sum).map(({ name }) => name)
  return [...nulls, ...(values.length > 0 ? [`${values.join(', ')}: values differ`] : [])]
}

/** Keys whose rows are not the same on both sides. */
export interface DifferentKeys {
  onlyInSource: number
  onlyInTable: number
  otherValues: number
  /** Not in the table, or with other values, because the row is in the quarantine: not counted above. */
  setAside: number
  /** A few of them: `id = 7`. */
  examples: readonly string[]
}

/** Finds the rows in which two sides differ: both are read once more, and only keys of ranges that differ are kept. */
export async function differentKeys(
  stream: Stream,
  table: TableSnapshot,
  ports: ComparePorts,
  { source, table: stored }: Comparison,
  { key = [], where, setAside = new Set() }: CompareOptions,
): Promise<DifferentKeys> {
  const { fields } = stream.schema
  const shared = fields.filter(({ name }) => findField(table.schema.fields, name))
  const at = shared.map(({ name }) => fields.findIndex((field) => field.name === name))
  const keyAt = keyPlaces(shared, key)
  const kept = new Map<string, { source?: bigint; table?: bigint }>()
  const keep =
    (side: 'source' | 'table'): TakeRow =>
    (values) => {
      const name = keyText(keyAt.map((i) => values[i]!))
      const range = rangeOf(name)
      if (source.ranges[range] === stored.ranges[range]) return
      const found = kept.get(name) ?? {}
      found[side] = wrap((found[side] ?? 0n) + hashOf(JSON.stringify(values)))
      kept.set(name, found)
    }
  const ofSource = keep('source')
  await eachSourceRow(stream, (values) => ofSource(at.map((i) => values[i]!)))
  await eachTableRow(shared, table, ports, keep('table'), where)
  const differing = [...kept].filter(([, row]) => row.source !== row.table)
  const aside = differing.filter(([name, row]) => row.source !== undefined && setAside.has(name))
  const count = (is: (row: { source?: bigint; table?: bigint }) => boolean) =>
    differing.filter(([, row]) => is(row)).length - aside.filter(([, row]) => is(row)).length
  return {
    onlyInSource: count((row) => row.table === undefined),
    onlyInTable: count((row) => row.source === undefined),
    otherValues: count((row) => row.source !== undefined && row.table !== undefined),
    setAside: aside.length,
    examples: differing.slice(0, EXAMPLES).map(([name]) =>
      pairs(
        keyAt.map((place) => shared[place]!),
        JSON.parse(name) as Canonical[],
      ),
    ),
  }
}

const EXAMPLES = 5

/** What names a row, for people: `id = 7`. Without a key the whole row does. */
export function keyOf(fields: readonly Field[], values: readonly Canonical[], key: readonly string[]): string {
  const at = keyPlaces(fields, key)
  return pairs(
    at.map((place) => fields[place]!),
    at.map((place) => values[place]!),
  )
}

const pairs = (fields: readonly Field[], values: readonly Canonical[]) =>
  fields.map(({ name }, i) => `${name} = ${values[i]}`).join(', ')

class DigestSum {
  readonly #fields: readonly Field[]
  readonly #keyAt: readonly number[]
  readonly #sums: bigint[]
  readonly #nulls: number[]
  readonly #ranges = new BigUint64Array(RANGES)
  #all = 0n
  #rows = 0

  constructor(fields: readonly Field[], key: readonly string[]) {
    this.#fields = fields
    this.#keyAt = keyPlaces(fields, key)
    this.#sums = fields.map(() => 0n)
    this.#nulls = fields.map(() => 0)
  }

  add(values: readonly Canonical[]): void {
    this.#rows += 1
    const row = hashOf(JSON.stringify(values))
    this.#all = wrap(this.#all + row)
    const range = rangeOf(keyText(this.#keyAt.map((i) => values[i]!)))
    this.#ranges[range] = wrap(this.#ranges[range]! + row)
    values.forEach((value, i) => {
      if (value === null) this.#nulls[i]! += 1
      else this.#sums[i] = wrap(this.#sums[i]! + hashOf(typeof value === 'string' ? value : JSON.stringify(value)))
    })
  }

  digest(): Digest {
    const hex = (sum: bigint) => sum.toString(16).padStart(16, '0')
    const columns = this.#fields.map(({ name }, i) => [name, { nulls: this.#nulls[i]!, sum: hex(this.#sums[i]!) }])
    return { rows: this.#rows, all: hex(this.#all), columns: Object.fromEntries(columns), ranges: this.#ranges }
  }
}

const keyPlaces = (fields: readonly Field[], key: readonly string[]): number[] =>
  fields.flatMap(({ name }, i) => (key.length === 0 || key.includes(name) ? [i] : []))
/** The key of a row as one text, from its values in the order of the columns. */
export const keyText = (values: readonly Canonical[]): string => JSON.stringify(values)
const rangeOf = (key: string) => Number(hashOf(key) % BigInt(RANGES))
const wrap = (sum: bigint) => BigInt.asUintN(64, sum)
/** 64 bits of a text: of a row's values as JSON, or of one value. */
export const hashOf = (text: string) => hash('md5', text, 'buffer').readBigUInt64LE()
