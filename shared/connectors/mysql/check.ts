import type { CheckResult } from '../../connector/connector.ts'
import { describeTables } from './check-tables.ts'
import { rightsOf } from './rights.ts'
import type { Sessions } from './session.ts'

/** What a person wants to know before the first run. Throws only when the server cannot be reached or refuses the login. */
export async function check(sessions: Sessions): Promise<readonly CheckResult[]> {
  const server = await sessions.server()
  const { user, cursor_lag_seconds } = sessions.config
  const rights = await rightsOf(sessions)
  const [tls] = await sessions.query<{ Value: string }>('connect', `show session status like 'Ssl_cipher'`)
  const encrypted = Boolean(tls?.Value)
  const keep = await retention(sessions)
  const may = (...names: string[]) => names.some((name) => rights.has(name))
  const oldest = server.name === 'MariaDB' ? 100_500 : 50_700
  return [
    {
      requirement: 'MySQL 5.7, MariaDB 10.5, or later',
      met: server.number >= oldest,
      detail: `the server is ${server.name} ${server.version}`,
    },
    {
      requirement: 'an encrypted connection',
      met: encrypted,
      advice: true,
      detail: encrypted
        ? 'TLS is used'
        : 'the connection is not encrypted: switch TLS on in the server, and set sslmode to verify-full',
    },
    ...(await describeTables(sessions)),
    {
      requirement: 'the binary log, for change data capture',
      met: server.logs,
      advice: true,
      detail: server.logs ? 'log_bin is on' : 'log_bin is off: start the server with log_bin and a server_id',
    },
    {
      requirement: 'whole rows in the log, for change data capture',
      met: server.format === 'ROW' && server.rowImage === 'FULL',
      advice: true,
      detail:
        server.format === 'ROW' && server.rowImage === 'FULL'
          ? 'binlog_format is ROW and binlog_row_image FULL'
          : `binlog_format is ${server.format} and binlog_row_image ${server.rowImage}: set global binlog_format = 'ROW', binlog_row_image = 'FULL', and in the server's configuration`,
    },
    {
      requirement: 'the right to read the log, for change data capture',
      met: may('REPLICATION SLAVE', 'REPLICATION REPLICA'),
      advice: true,
      detail: may('REPLICATION SLAVE', 'REPLICATION REPLICA')
        ? `${user} may read the log`
        : `grant replication slave on *.* to ${user}`,
    },
    {
      requirement: 'the right to ask for the place in the log, for change data capture',
      met: may('REPLICATION CLIENT', 'BINLOG MONITOR', 'SUPER'),
      advice: true,
      detail: may('REPLICATION CLIENT', 'BINLOG MONITOR', 'SUPER')
        ? `${user} may ask for it`
        : `grant ${server.name === 'MariaDB' ? 'binlog monitor' : 'replication client'} on *.* to ${user}`,
    },
    {
      requirement: 'places in the log that another server knows too',
      met: server.gtid !== 'none',
      advice: true,
      detail:
        server.gtid !== 'none'
          ? 'transactions have global identifiers: reading goes on when a replica takes over'
          : 'places are of this server only, and when another takes over its tables are copied again: set gtid_mode = ON',
    },
    {
      requirement: 'a log that is kept for a day or more',
      met: keep === 0 || keep >= 86_400,
      advice: true,
      detail:
        keep === 0
          ? 'the log is kept until it is purged by hand'
          : `the log is kept for ${Math.round(keep / 3600)} hours; what was not read by then is lost, and its tables are copied again (Amazon RDS: call mysql.rds_set_configuration('binlog retention hours', 72))`,
    },
    {
      requirement: 'to see other transactions, for query-based reads',
      met: may('PROCESS'),
      advice: true,
      detail: may('PROCESS')
        ? `${user} sees all transactions`
        : `rows younger than ${cursor_lag_seconds} s wait for the next run: grant process on *.* to ${user}`,
    },
  ]
}

/** Seconds that the log is kept; 0 means for ever. */
async function retention(sessions: Sessions): Promise<number> {
  const rows = await sessions.query<{ Variable_name: string; Value: string }>(
    'read the server settings',
    `show global variables where Variable_name in ('binlog_expire_logs_seconds', 'expire_logs_days')`,
  )
  const value = (name: string) => Number(rows.find((row) => row.Variable_name === name)?.Value ?? 0)
  return value('binlog_expire_logs_seconds') || value('expire_logs_days') * 86_400
}
