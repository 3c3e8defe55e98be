import type { CheckResult } from '../../connector/connector.ts'
import type { Sessions } from './session.ts'

/** What a person wants to know before the first run. Throws only when the server cannot be reached or refuses the login. */
export async function check(sessions: Sessions): Promise<readonly CheckResult[]> {
  const [server] = await sessions.query<Server>(
    'connect',
    `select current_setting('server_version') as version, current_setting('server_version_num')::int as number,
       pg_is_in_recovery() as standby, current_setting('wal_level') as wal, current_setting('max_slot_wal_keep_size') as keep,
       current_setting('max_replication_slots')::int as slots, (select count(*)::int from pg_replication_slots) as used,
       (select rolreplication or rolsuper from pg_roles where rolname = current_user)
         or coalesce((select pg_has_role(oid, 'member') from pg_roles where rolname = 'rds_replication'), false) as replication,
       pg_has_role('pg_read_all_stats', 'usage') as stats, (select ssl from pg_stat_ssl where pid = pg_backend_pid()) as tls,
       current_setting('server_encoding') as encoding`,
  )
  const row = server!
  const { user, database } = sessions.config
  return [
    {
      requirement: 'PostgreSQL 13 or later',
      met: row.number >= 130000,
      detail: `the server is version ${row.version}${row.standby ? ', a standby' : ''}`,
    },
    {
      requirement: 'an encrypted connection',
      met: row.tls,
      advice: true,
      detail: row.tls
        ? 'TLS is used'
        : 'the connection is not encrypted: switch TLS on in the server, and set sslmode to verify-full',
    },
    {
      requirement: 'UTF-8 text',
      met: row.encoding !== 'SQL_ASCII',
      advice: true,
      detail:
        row.encoding === 'SQL_ASCII'
          ? 'the database has no encoding (SQL_ASCII): rows with text that is not UTF-8 will be set aside'
          : `the database is ${row.encoding}`,
    },
    ...(await tables(sessions)),
    {
      requirement: 'wal_level = logical, for change data capture',
      met: row.wal === 'logical',
      advice: true,
      detail:
        row.wal === 'logical'
          ? 'the log can be decoded'
          : `wal_level is ${row.wal}: alter system set wal_level = logical, then restart (Amazon RDS: rds.logical_replication = 1)`,
    },
    {
      requirement: 'the right to replicate, for change data capture',
      met: row.replication,
      advice: true,
      detail: row.replication
        ? `${user} may replicate`
        : `alter role ${user} replication (Amazon RDS: grant rds_replication to ${user})`,
    },
    {
      requirement: 'a free replication slot, for change data capture',
      met: row.used < row.slots,
      advice: true,
      detail: `${row.used} of ${row.slots} slots are used${row.used < row.slots ? '' : ': drop one that nobody reads, or raise max_replication_slots'}`,
    },
    {
      requirement: 'a limit of what a forgotten slot can hold',
      met: row.keep !== '-1',
      advice: true,
      detail:
        row.keep === '-1'
          ? 'max_slot_wal_keep_size is unlimited: a slot that nobody reads fills the disk; set it to what the disk can spare'
          : `max_slot_wal_keep_size is ${row.keep}: a slot that falls further behind is lost, and its tables are copied again`,
    },
    ...(await slots(sessions)),
    {
      requirement: 'to see when other transactions began, for query-based reads',
      met: row.stats,
      advice: true,
      detail: row.stats
        ? `${user} sees all sessions of ${database}`
        : `while another user's transaction is open, rows younger than ${sessions.config.cursor_lag_seconds} s wait for the next run: grant pg_read_all_stats to ${user}`,
    },
  ]
}

interface Server {
  version: string
  number: number
  standby: boolean
  wal: string
  keep: string
  slots: number
  used: number
  replication: boolean
  stats: boolean
  tls: boolean
  encoding: string
}

async function tables(sessions: Sessions): Promise<CheckResult[]> {
  const rows = await sessions.query(
    'read the catalog',
    `select n.nspname as schema, has_schema_privilege(n.oid, 'usage') as usage, count(c.oid)::int as tables,
       (array_agg(c.relname::text order by c.relname) filter (where not has_any_column_privilege(c.oid, 'select')))[1:5] as denied,
       (array_agg(c.relname::text order by c.relname) filter (where row_security_active(c.oid)))[1:5] as secured
     from pg_namespace n join pg_class c on c.relnamespace = n.oid and c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition
     where n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and ($1::text[] is null or n.nspname = any ($1))
     group by 1, 2 order by 1`,
    [sessions.config.schemas ?? null],
  )
  const wanted = sessions.config.schemas ?? []
  const missing = wanted.filter((schema) => !rows.some((row) => row.schema === schema))
  const { user } = sessions.config
  return [
    ...missing.map((schema) => ({
      requirement: `tables in the schema ${schema}`,
      met: false,
      detail: `there is no schema ${schema} with tables: correct the name in \`schemas\``,
    })),
    ...rows.map((row): CheckResult => {
      const denied = row.denied as string[] | null
      const secured = row.secured as string[] | null
      const problem = !row.usage
        ? `grant usage on schema ${row.schema} to ${user}`
        : denied
          ? `cannot read ${denied.join(', ')}: grant select on all tables in schema ${row.schema} to ${user}`
          : secured
            ? `row-level security hides rows of ${secured.join(', ')} from ${user}: alter role ${user} bypassrls, if all are wanted`
            : undefined
      return {
        requirement: `rights to read the schema ${row.schema}`,
        met: problem === undefined,
        detail: problem ?? `all ${row.tables} tables and views can be read`,
        // What is not granted may be not wanted.
        ...(problem !== undefined && { advice: true }),
      }
    }),
    ...(rows.length === 0 && missing.length === 0
      ? [
          {
            requirement: 'tables to read',
            met: false,
            advice: true,
            detail: `the database ${sessions.config.database} has no tables that ${user} can see`,
          },
        ]
      : []),
  ]
}

/** The log held by each slot of this database. */
async function slots(sessions: Sessions): Promise<CheckResult[]> {
  const rows = await sessions.query(
    'read the replication slots',
    `select slot_name as name, active, wal_status as status, plugin,
       pg_size_pretty(pg_wal_lsn_diff(case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end, restart_lsn)) as held
     from pg_replication_slots where database = current_database() order by slot_name`,
  )
  return rows.map((row) => ({
    requirement: `the slot ${row.name} is in use and whole`,
    met: row.status !== 'lost' && row.status !== 'unreserved',
    advice: true,
    detail:
      row.status === 'lost'
        ? 'lost: the server has removed log that it needs; a pipeline that uses it copies its tables again'
        : `${row.active ? 'being read' : 'not being read now'}, holds ${row.held ?? 'no'} of log (${row.status})`,
  }))
}
