import type { SqlColumn } from '../../connector/sql/dialect.ts'
import type { OpenWork } from '../../connector/sql/finished.ts'
import { dialect } from './dialect.ts'
import { naming, type Source } from './source.ts'
import { writersOf } from './writers.ts'

/** Types whose values are moments of a clock. */
const clocks = new Set(['date', 'timestamp with time zone', 'timestamp without time zone'])

/** A moment is final before the oldest open transaction's start, since `now()` is the start of a transaction. */
export const openWork = (source: Source): OpenWork => ({
  clockBound: async (column) => (clocks.has(column.sqlType) ? await clockBound(source, column) : undefined),
  writers: () => writersOf(source.sessions, source.relation),
  unfinished: (earlier, now) => earlier.filter((writer) => now.includes(writer)),
})

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
