import * as z from 'zod'
import { IngestError } from '../../core/errors.ts'
import type { Json } from '../../core/json.ts'
import type { SqlColumn } from './dialect.ts'
import { comparePlace } from './order.ts'
import { type SqlSource, selectSql } from './source.ts'

/**
 * Where a query-based stream stands. `at`: every row up to this place, by value, is read (null: none). `seen`: a place
 * that becomes final once the transactions that were writing when it was seen have ended.
 */
export interface QueryCursor {
  at: string[] | null
  seen?: { to: string[]; writers: string[] }
}

/** What a database can say about transactions that may still add rows below a place. */
export interface OpenWork {
  /** A condition that a moment of this column is final; undefined for a column that is not of a clock. */
  clockBound(column: SqlColumn): Promise<string | undefined>
  /** Names of the transactions that may be writing the table now. */
  writers(): Promise<readonly string[]>
  /** Those of earlier writers that may still be at work. */
  unfinished(earlier: readonly string[], now: readonly string[]): readonly string[]
}

const schema = z.strictObject({
  at: z.array(z.string()).nullable(),
  seen: z.strictObject({ to: z.array(z.string()), writers: z.array(z.string()) }).optional(),
})

/** @throws IngestError `state.invalid` (fix) */
export function parseQueryCursor(json: Json): QueryCursor {
  const parsed = schema.safeParse(json)
  if (!parsed.success)
    throw new IngestError('state.invalid', 'the stored cursor of a query-based stream is not understood')
  return parsed.data as QueryCursor
}

/**
 * How far the cursor columns are final, and how many rows lie between `before` and there, counted up to `countUpTo`.
 *
 * A moment is final when every transaction that may still write it has ended. Any other value (a sequence's number) is
 * taken out of the source before its row is committed; the greatest one seen is final once everybody who was writing at
 * that time is done.
 */
export async function finishedUpTo(
  source: SqlSource,
  work: OpenWork,
  cursor: readonly SqlColumn[],
  present: readonly string[],
  before: QueryCursor,
  countUpTo: number,
): Promise<{ cursor: QueryCursor; rows: number }> {
  const { dialect } = source
  const bound = await work.clockBound(cursor[0]!)
  const beyond = before.at ? [comparePlace(cursor, '>', before.at, dialect)] : []
  const read = (conditions: readonly string[]) =>
    greatest(source, cursor, [...beyond, ...conditions, ...present], countUpTo)

  if (bound !== undefined) {
    const found = await read([bound])
    return { cursor: { at: found.place ?? before.at }, rows: found.rows }
  }
  const found = await read([])
  const writers = await work.writers()
  if (writers.length === 0) return { cursor: { at: found.place ?? before.at }, rows: found.rows }
  const seen = found.place && { to: found.place, writers: [...writers] }
  const earlier = before.seen
  if (earlier && work.unfinished(earlier.writers, writers).length === 0) {
    const { rows } = await read([comparePlace(cursor, '<=', earlier.to, dialect)])
    return { cursor: { at: earlier.to, ...(seen && { seen }) }, rows }
  }
  return { cursor: { at: before.at, ...((earlier ?? seen) && { seen: earlier ?? seen! }) }, rows: 0 }
}

async function greatest(
  source: SqlSource,
  cursor: readonly SqlColumn[],
  conditions: readonly string[],
  countUpTo: number,
): Promise<{ place: string[] | undefined; rows: number }> {
  const { dialect, from } = source
  const names = cursor.map(({ name }) => dialect.identifier(name))
  const places = cursor.map((column, index) => `${dialect.place(names[index]!, column)} as k${index}`)
  const counted = dialect.first(selectSql(['1 as one'], from, conditions), countUpTo)
  const last = `${selectSql(places, from, conditions)} order by ${names.map((name) => `${name} desc`).join(', ')}`
  const [row] = await all(source, `look for changes of ${source.name}`, dialect.first(last, 1))
  if (!row) return { place: undefined, rows: 0 }
  const [count] = countUpTo
    ? await all(source, `count the changes of ${source.name}`, `select count(*) as n from (${counted}) counted`)
    : []
  return { place: cursor.map((_, index) => String(row[`k${index}`])), rows: Number(count?.n ?? 0) }
}

async function all(source: SqlSource, what: string, sql: string): Promise<Record<string, unknown>[]> {
  const rows: Record<string, unknown>[] = []
  for await (const row of source.rows(what, sql)) rows.push(row)
  return rows
}
