import type { OpenWork } from '../../connector/sql/finished.ts'
import { dialect } from './dialect.ts'
import { rightsOf } from './rights.ts'
import type { Source } from './source.ts'
import type { MysqlColumn } from './types.ts'

/** What the server's list of transactions may lack: it is made anew ten times a second. */
const listAgeMs = 250

interface Look {
  /** Microseconds since the epoch, by the server's clock, before the lists were read. */
  now: string
  /** Seconds since the oldest statement or transaction of others began; NULL when there is none. */
  age: number | null
  writers: string[]
  /** False: this user may not see the others. */
  sees: boolean
}

/**
 * `now()` is the start of a statement, and its row can be seen when its transaction ends: moments are final before the
 * start of the oldest open transaction and of the oldest running statement. The server tells these in whole seconds, and
 * a transaction begins only with the first row, later than its statement when that waited for a lock: hence the lag.
 */
export const openWork = (source: Source): OpenWork => ({
  async clockBound(given) {
    const column = given as MysqlColumn
    if (!['date', 'datetime', 'timestamp'].includes(column.sqlType)) return undefined
    const { config } = source.sessions
    const { now, age, sees } = await look(source)
    const oldest = age === null ? 0 : Math.min(age, config.cursor_max_wait_seconds) + 1 + config.cursor_lag_seconds
    const lagMs = (sees ? oldest : Math.max(config.cursor_lag_seconds, 1)) * 1000 + listAgeMs
    return bound(column, `'${now}' - interval ${Math.round(lagMs * 1000)} microsecond`, source.server.timeZone)
  },
  async writers() {
    const { writers, sees } = await look(source)
    if (sees) return writers
    // Nobody can be seen: whoever wrote at this moment is taken to be done after the lag.
    return [`until ${source.sessions.clock.now() + source.sessions.config.cursor_lag_seconds * 1000}`]
  },
  unfinished: (earlier, now) =>
    earlier.filter((writer) =>
      writer.startsWith('until ') ? Number(writer.slice(6)) > source.sessions.clock.now() : now.includes(writer),
    ),
})

/** `updated_at < <the first moment that is not final>`, in the zone that the column's values are of. */
function bound(column: MysqlColumn, moment: string, zone: string): string {
  const name = dialect.identifier(column.name)
  // A session's own zone decides what a time without one means to it: the server's is the best guess.
  const local = column.sqlType === 'timestamp' ? moment : `convert_tz(${moment}, '+00:00', ${dialect.text(zone)})`
  // Moments are cut or rounded to the column's digits: its last tick may still be written.
  const tick = `interval ${10 ** (6 - (column.attribute.fraction ?? 0))} microsecond`
  return column.sqlType === 'date' ? `${name} < date(${local})` : `${name} < ${local} - ${tick}`
}

async function look({ sessions }: Source): Promise<Look> {
  const sees = (await rightsOf(sessions)).has('PROCESS')
  const [clock] = await sessions.query<{ now: string }>('look at the clock', 'select utc_timestamp(6) as now')
  if (!sees) return { now: clock!.now, age: null, writers: [], sees }
  // Reading statements, such as our own, add no rows.
  const rows = await sessions.query<{ id: string; since: string; age: string | number; writes: number }>(
    'look for open transactions',
    `select trx_mysql_thread_id as id, trx_started as since, trx_rows_modified > 0 or trx_query is not null as writes,
       greatest(timestampdiff(second, trx_started, convert_tz(utc_timestamp(), '+00:00', 'SYSTEM')), 0) as age
     from information_schema.innodb_trx where trx_is_read_only = 0 and trx_mysql_thread_id <> connection_id()
     union all
     select id, 'running', 1, greatest(time, 0) from information_schema.processlist
     where command in ('Query', 'Execute') and id <> connection_id() and coalesce(info, '') not like 'select %'`,
  )
  return {
    now: clock!.now,
    age: rows.length === 0 ? null : Math.max(...rows.map(({ age }) => Number(age))),
    writers: rows.filter(({ writes }) => Number(writes) === 1).map(({ id, since }) => `${id}/${since}`),
    sees: true,
  }
}
