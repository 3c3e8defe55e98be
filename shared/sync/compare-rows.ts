import type { Stream } from '../connector/connector.ts'
import type { Block, Row } from '../core/change.ts'
import { IngestError } from '../core/errors.ts'
import type { TableSnapshot } from '../delta/table.ts'
import type { Engine } from '../load/engine.ts'
import { readTableSql } from '../load/read-table.ts'
import { quoted } from '../load/sql.ts'
import type { Field } from '../schema/types.ts'
import type { Storage } from '../storage/storage.ts'
import { type Canonical, canonicalFromSql, canonicalOf, canonicalSql, exactJson } from './canonical.ts'

/** Takes a row: one value for each column, in order. */
export type TakeRow = (values: readonly Canonical[]) => void

/** Every row a snapshot stream gives, by the columns of its schema. */
export async function eachSourceRow(stream: Stream, take: TakeRow): Promise<void> {
  if (stream.kind !== 'snapshot')
    throw new IngestError('bug.invariant', `${stream.name} is compared by a whole read, not by its changes`)
  const { fields } = stream.schema
  const takeRow = (row: Row) => take(fields.map(({ name, type }) => canonicalOf(row[name], type)))
  for (const piece of await stream.split()) {
    const lines = new Lines()
    for await (const message of stream.read(piece)) {
      if (message.op === 'upsert') takeRow(message.row)
      else if (message.op === 'block')
        for (const line of lines.of(message)) {
          if (message.format === 'copy') take(cellsOf(line.split('\t').map(unescaped), fields))
          else takeRow(exactJson(line) as Row)
        }
    }
  }
}

const ROWS_AT_ONCE = 20_000

/** Every row of a table by these columns, read by the query engine. `where`: SQL over its columns. */
export async function eachTableRow(
  fields: readonly Field[],
  table: TableSnapshot,
  { storage, engine }: { storage: Storage; engine: Engine },
  take: TakeRow,
  where = 'true',
): Promise<void> {
  const columns = fields.map(({ name, type }, i) => `to_json(${canonicalSql(quoted(name), type)})::varchar as c${i}`)
  for (const file of table.files.values())
    await engine.session(async (session) => {
      const rows = await readTableSql(session, storage, table, { files: [file], positions: true })
      const [count] = await session.rows(`select max(__row) as last from (${rows})`)
      for (let from = 0; from <= Number(count!.last ?? -1); from += ROWS_AT_ONCE) {
        const found = await session.rows(
          `select ${['1 as one', ...columns].join(', ')} from (${rows})
           where __row >= ${from} and __row < ${from + ROWS_AT_ONCE} and (${where})`,
        )
        for (const row of found)
          take(
            fields.map(({ type }, i) => {
              const text = row[`c${i}`] as string | null
              return text === null ? null : canonicalFromSql(JSON.parse(text), type)
            }),
          )
      }
    })
}

const cellsOf = (cells: readonly (string | null)[], fields: readonly Field[]) =>
  fields.map(({ type }, i) => canonicalOf(cells[i], type))

/** Lines put together over blocks that end anywhere: of COPY text (PostgreSQL, COPY, "Text Format") or NDJSON. */
class Lines {
  #rest: Buffer = Buffer.alloc(0);

  *of({ format, bytes }: Block): Iterable<string> {
    if (format !== 'copy' && format !== 'ndjson')
      throw new IngestError('bug.invariant', `blocks of ${format} cannot be compared`)
    const all = Buffer.concat([this.#rest, bytes])
    let start = 0
    for (let end = all.indexOf(10); end >= 0; end = all.indexOf(10, start)) {
      yield all.toString('utf8', start, end)
      start = end + 1
    }
    this.#rest = all.subarray(start)
  }
}

const ESCAPES: Record<string, string> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v' }

/** A cell of COPY text. */
export function unescaped(cell: string): string | null {
  if (cell === '\\N') return null
  if (!cell.includes('\\')) return cell
  return cell.replace(/\\(.)/gs, (_, char: string) => ESCAPES[char] ?? char)
}
