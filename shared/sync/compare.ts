import { hash } from 'node:crypto'
import type { Stream } from '../connector/connector.ts'
import type { Block, Row } from '../core/change.ts'
import { IngestError } from '../core/errors.ts'
import type { TableSnapshot } from '../delta/table.ts'
import type { Engine } from '../load/engine.ts'
import { readTableSql } from '../load/read-table.ts'
import { quoted } from '../load/sql.ts'
import type { Field } from '../schema/types.ts'
import type { Storage } from '../storage/storage.ts'
import { type Canonical, canonicalFromSql, canonicalOf, canonicalSql } from './canonical.ts'

/** How one side of a comparison looks, whatever the order of its rows. */
export interface Digest {
  rows: number
  /** The sum of the hashes of the whole rows: tells rows whose values were exchanged. */
  all: string
  /** By column: how many are null, and the sum of the hashes of the values. */
  columns: Record<string, { nulls: number; sum: string }>
}

export interface Comparison {
  equal: boolean
  /** `orders: 10 rows in the source, 9 in the table`; empty when equal. */
  differences: readonly string[]
  source: Digest
  table: Digest
}

/**
 * Compares what the source holds now with what a table holds, value by value. Neither side goes through the writer: the
 * source's cells are parsed here, the table is read by the query engine.
 *
 * @param stream a snapshot stream with the columns to compare
 */
export async function compareTable(
  stream: Stream,
  table: TableSnapshot,
  { storage, engine }: { storage: Storage; engine: Engine },
): Promise<Comparison> {
  const { fields } = stream.schema
  const source = await digestStream(stream)
  const stored = await digestTable(fields, table, storage, engine)
  const differences: string[] = []
  if (source.rows !== stored.rows)
    differences.push(`${stream.name}: ${source.rows} rows in the source, ${stored.rows} in the table`)
  for (const { name } of fields) {
    const [a, b] = [source.columns[name]!, stored.columns[name]!]
    if (a.nulls !== b.nulls) differences.push(`${name}: ${a.nulls} nulls in the source, ${b.nulls} in the table`)
    if (a.sum !== b.sum) differences.push(`${name}: values differ`)
  }
  if (differences.length === 0 && source.all !== stored.all)
    differences.push(`${stream.name}: the columns hold the same values, but not in the same rows`)
  return { equal: differences.length === 0, differences, source, table: stored }
}

/** Digest of every row a snapshot stream gives. */
export async function digestStream(stream: Stream): Promise<Digest> {
  if (stream.kind !== 'snapshot')
    throw new IngestError('bug.invariant', `${stream.name} is compared by a whole read, not by its changes`)
  const { fields } = stream.schema
  const sum = new DigestSum(fields)
  for (const piece of await stream.split()) {
    const cells = new CopyCells()
    for await (const message of stream.read(piece)) {
      if (message.op === 'upsert') sum.addRow(message.row)
      else if (message.op === 'block') for (const row of cells.rows(message)) sum.add(cellsOf(row, fields))
    }
  }
  return sum.digest()
}

const ROWS_AT_ONCE = 20_000

/** Digest of a table's rows, read by the query engine. */
export async function digestTable(
  fields: readonly Field[],
  table: TableSnapshot,
  storage: Storage,
  engine: Engine,
): Promise<Digest> {
  const sum = new DigestSum(fields)
  const columns = fields.map((field) => `to_json(${canonicalSql(quoted(field.name), field.type)})::varchar`)
  for (const file of table.files.values())
    await engine.session(async (session) => {
      const rows = await readTableSql(session, storage, table, { files: [file], positions: true })
      const [count] = await session.rows(`select max(__row) as last from (${rows})`)
      for (let from = 0; from <= Number(count!.last ?? -1); from += ROWS_AT_ONCE) {
        const found = await session.rows(
          `select ${columns.map((column, i) => `${column} as c${i}`).join(', ')} from (${rows})
           where __row >= ${from} and __row < ${from + ROWS_AT_ONCE}`,
        )
        for (const row of found)
          sum.add(
            fields.map(({ type }, i) => {
              const text = row[`c${i}`] as string | null
              return text === null ? null : canonicalFromSql(JSON.parse(text), type)
            }),
          )
      }
    })
  return sum.digest()
}

class DigestSum {
  readonly #fields: readonly Field[]
  readonly #sums: bigint[]
  readonly #nulls: number[]
  #all = 0n
  #rows = 0

  constructor(fields: readonly Field[]) {
    this.#fields = fields
    this.#sums = fields.map(() => 0n)
    this.#nulls = fields.map(() => 0)
  }

  addRow(row: Row): void {
    this.add(this.#fields.map(({ name, type }) => canonicalOf(row[name], type)))
  }

  add(values: readonly Canonical[]): void {
    this.#rows += 1
    this.#all = wrap(this.#all + hashOf(JSON.stringify(values)))
    values.forEach((value, i) => {
      if (value === null) this.#nulls[i]! += 1
      else this.#sums[i] = wrap(this.#sums[i]! + hashOf(typeof value === 'string' ? value : JSON.stringify(value)))
    })
  }

  digest(): Digest {
    const hex = (sum: bigint) => sum.toString(16).padStart(16, '0')
    const columns = this.#fields.map(({ name }, i) => [name, { nulls: this.#nulls[i]!, sum: hex(this.#sums[i]!) }])
    return { rows: this.#rows, all: hex(this.#all), columns: Object.fromEntries(columns) }
  }
}

const wrap = (sum: bigint) => BigInt.asUintN(64, sum)
const hashOf = (text: string) => hash('md5', text, 'buffer').readBigUInt64LE()

const cellsOf = (cells: readonly (string | null)[], fields: readonly Field[]) =>
  fields.map(({ type }, i) => canonicalOf(cells[i], type))

/** Rows of COPY text, put together over blocks that end anywhere (PostgreSQL, COPY, "Text Format"). */
class CopyCells {
  #rest: Buffer = Buffer.alloc(0);

  *rows({ format, bytes }: Block): Iterable<(string | null)[]> {
    if (format !== 'copy') throw new IngestError('bug.invariant', `blocks of ${format} cannot be compared`)
    const all = Buffer.concat([this.#rest, bytes])
    let start = 0
    for (let end = all.indexOf(10); end >= 0; end = all.indexOf(10, start)) {
      yield all.toString('utf8', start, end).split('\t').map(unescaped)
      start = end + 1
    }
    this.#rest = all.subarray(start)
  }
}

const ESCAPES: Record<string, string> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v' }

function unescaped(cell: string): string | null {
  if (cell === '\\N') return null
  if (!cell.includes('\\')) return cell
  return cell.replace(/\\(.)/gs, (_, char: string) => ESCAPES[char] ?? char)
}
