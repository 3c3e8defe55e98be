import * as z from 'zod'
import type { SqlColumn } from '../../connector/sql/dialect.ts'
import { comparePlace } from '../../connector/sql/order.ts'
import { IngestError } from '../../core/errors.ts'
import type { Json } from '../../core/json.ts'
import { dialect } from './dialect.ts'
import { naming, type Source } from './source.ts'
import { writersOf } from './writers.ts'

/**
 * Where a query-based stream stands. `at`: every row up to this place, by value, is read (null: none). `seen`: a place
 * that becomes final once the transactions that were writing when it was seen have ended.
 */
export interface QueryCursor {
  at: string[] | null
  seen?: { to: string[]; writers: string[] }
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

/** Types whose values are moments of a clock. */
const clocks = new Set(['date', 'timestamp with time zone', 'timestamp without time zone'])

/**
 * How far the cursor columns are final, and how many rows lie between `before` and there, counted up to `countUpTo`.
 *
 * A moment is final when every transaction that may still write it has ended: before the oldest one's start, since
 * `now()` is the start of a transaction, and before the running tick of the clock. Any other value (a sequence's number)
 * is taken out of the source before its row is committed; the greatest one seen is final once everybody who was writing
 * the table at that time is done.
 */
export async function finishedUpTo(
  source: Source,
  cursor: readonly SqlColumn[],
  present: readonly string[],
  before: QueryCursor,
  countUpTo: number,
): Promise<{ cursor: QueryCursor; rows: number }> {
  const [lead] = cursor
  const bound = clocks.has(lead!.sqlType) ? [await clockBound(source, lead!)] : []
  const beyond = before.at ? [comparePlace(cursor, '>', before.at, dialect)] : []
  const read = (conditions: readonly string[]) =>
    greatest(source, cursor, [...beyond, ...conditions, ...present], countUpTo)

  if (bound.length > 0) {
    const found = await read(bound)
    return { cursor: { at: found.place ?? before.at }, rows: found.rows }
  }
  const found = await read([])
  const writers = await writersOf(source.sessions, source.relation)
  if (writers.length === 0) return { cursor: { at: found.place ?? before.at }, rows: found.rows }
  const seen = found.place && { to: found.place, writers }
  const earlier = before.seen
  if (earlier && !earlier.writers.some((writer) => writers.includes(writer))) {
    const { rows } = await read([comparePlace(cursor, '<=', earlier.to, dialect)])
    return { cursor: { at: earlier.to, ...(seen && { seen }) }, rows }
  }
  return { cursor: { at: before.at, ...((earlier ?? seen) && { seen: earlier ?? seen! }) }, rows: 0 }
}

async function greatest(
  source: Source,
  cursor: readonly SqlColumn[],
  conditions: readonly string[],
  countUpTo: number,
): Promise<{ place: string[] | undefined; rows: number }> {
  const names = cursor.map(({ name }) => dialect.identifier(name))
  const where = conditions.length > 0 ? `where ${conditions.join(' and ')}` : ''
  const [row] = await source.sessions.query(
    naming('look for changes of', source),
    `select ${names.map((name, index) => `${name}::text as k${index}`).join(', ')},
       (select count(*) from (select from ${source.from} ${where} limit ${countUpTo}) counted)::float8 as rows
     from ${source.from} ${where} order by ${names.map((name) => `${name} desc`).join(', ')} limit 1`,
  )
  return { place: row && cursor.map((_, index) => String(row[`k${index}`])), rows: Number(row?.rows ?? 0) }
}

/** `"updated_at" < <the first moment that is not final>`, of the column's type. */
async function clockBound(source: Source, column: SqlColumn): Promise<string> {
  const { config } = source.sessions
  // A session's own settings decide what a time without zone means to it: the database's are the best guess.
  const [row] = await source.sessions.query(
    naming('look for open transactions beside', source),
    `with others as (
       select a.xact_start, a.query = '<insufficient privilege>' as hidden from pg_stat_activity a
       where a.datname = current_database() and a.pid <> pg_backend_pid() and a.application_name <> 'lakeflow-connect'
         and coalesce(a.backend_type not in ('autovacuum worker', 'walsender', 'parallel worker'), true)
         and a.pid in (select pid from pg_locks where locktype = 'virtualxid'))
     select least(clock_timestamp(),
         (select greatest(min(xact_start), clock_timestamp() - make_interval(secs => $1)) from others having count(xact_start) > 0),
         (select min(prepared) - make_interval(secs => $2) from pg_prepared_xacts where database = current_database()),
         case when (select bool_or(hidden) from others) then clock_timestamp() - make_interval(secs => $2) end)::text as horizon,
       (select reset_val from pg_settings where name = 'TimeZone') as zone`,
    [config.cursor_max_wait_seconds, config.cursor_lag_seconds],
  )
  const horizon = `'${row!.horizon}'::timestamptz`
  const name = dialect.identifier(column.name)
  if (column.sqlType === 'date') return `${name} < (${horizon} at time zone ${dialect.text(String(row!.zone))})::date`
  // timestamp(3) rounds, up too: its last tick before the horizon may still be written.
  const digits = source.relation.attributes.find((attribute) => attribute.name === column.name)?.typmod ?? -1
  const last = digits >= 0 && digits < 6 ? `(${horizon} - interval '${10 ** -digits} seconds')` : horizon
  return column.sqlType === 'timestamp with time zone'
    ? `${name} < ${last}`
    : `${name} < (${last} at time zone ${dialect.text(String(row!.zone))})`
}
