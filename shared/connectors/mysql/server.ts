import type { Sessions } from './session.ts'

/** What differs between servers, as facts: nothing below asks for a name. */
export interface Server {
  name: string
  version: string
  /** 10.11.19 as 101119, 8.0.36 as 80036. */
  number: number
  /** How transactions are named in the log; `none`: by file and offset only. */
  gtid: 'domains' | 'sets' | 'none'
  /** A consistent snapshot tells its own place in the log. */
  snapshotTellsPosition: boolean
  /** JSON is a text with a check, not a type. */
  jsonIsText: boolean
  /** The statement that tells the end of the log. */
  statusStatement: string
  logs: boolean
  /** binlog_format and binlog_row_image are ROW and FULL for new sessions. */
  format: string
  rowImage: string
  /** Table names are compared without regard to case. */
  foldsNames: boolean
  /** The zone in which sessions write times without one, unless they set another. */
  timeZone: string
  /** Tells this server from any other. */
  identity: string
}

export async function serverOf(sessions: Sessions): Promise<Server> {
  const [row] = await sessions.query<Record<string, string | number | null>>(
    'connect',
    `select @@version as version, @@server_id as id, @@hostname as host, @@port as port, @@log_bin as logs, @@global.binlog_format as format,
       @@global.binlog_row_image as image, @@lower_case_table_names as folds, @@global.time_zone as zone`,
  )
  const version = String(row!.version)
  const [, major, minor, patch] = /(\d+)\.(\d+)\.(\d+)/.exec(version.replace(/^5\.5\.5-/, '')) ?? []
  const number = Number(major) * 10_000 + Number(minor) * 100 + Number(patch)
  const mariadb = /mariadb/i.test(version)
  const variables = mariadb
    ? []
    : await sessions.query<{ Variable_name: string; Value: string }>(
        'read the server settings',
        `show global variables where Variable_name in ('gtid_mode', 'server_uuid')`,
      )
  const variable = (name: string) => variables.find((each) => each.Variable_name === name)?.Value
  return {
    name: mariadb ? 'MariaDB' : 'MySQL',
    version,
    number,
    gtid:
      sessions.config.cdc_position === 'file'
        ? 'none'
        : mariadb
          ? 'domains'
          : variable('gtid_mode') === 'ON'
            ? 'sets'
            : 'none',
    snapshotTellsPosition: mariadb,
    jsonIsText: mariadb,
    statusStatement: !mariadb && number >= 80_200 ? 'show binary log status' : 'show master status',
    logs: Number(row!.logs) === 1,
    format: String(row!.format),
    rowImage: String(row!.image),
    foldsNames: Number(row!.folds) !== 0,
    timeZone: String(row!.zone),
    identity: variable('server_uuid') ?? `${row!.host}:${row!.port}/${row!.id}`,
  }
}
