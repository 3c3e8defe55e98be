import type { Connector } from '../../connector/connector.ts'
import { queryStream } from '../../connector/sql/query-stream.ts'
import { snapshotStream } from '../../connector/sql/snapshot-stream.ts'
import { changeStream } from './changes.ts'
import { check } from './check.ts'
import { config, type MysqlConfig } from './config.ts'
import { discover } from './discover.ts'
import { openWork } from './finished.ts'
import { Sessions } from './session.ts'
import { openSource } from './source.ts'
import { logOf } from './table-log.ts'

/** MySQL and MariaDB, and what speaks their protocol. One connector: what differs is found out from the server. */
export const mysql: Connector<MysqlConfig, Sessions> = {
  name: 'mysql',
  title: 'MySQL and MariaDB',
  about: {
    auth: 'user and password; TLS',
    objects: 'tables and views',
    modes: ['cdc', 'query', 'snapshot'],
    position:
      'global transaction identifiers, or file and offset of the log; or cursor columns, up to what no open transaction can add to',
    snapshot: 'a text result set as bytes, in ranges of the primary key',
    changes: 'binary log, read without waiting at its end; or rows whose cursor columns grew',
    deletes: 'in the log; by `deletion_condition` or a sweep of keys',
    historyLoss: 'log purged, or of another server: `source.position_lost`, the table is copied again',
    limits: 'the log is read once for all captured tables of a pipeline; `parallelism` readers a table',
    tested:
      'a real MariaDB 10.11, MySQL 8.0.15 and MySQL 5.7.22; compressed transactions of MySQL by bytes made by its documentation',
  },
  config,
  // Connections are opened when they are needed: a wrong password is the first query's error.
  connect: async (config, run) => new Sessions(config, run),
  async close(sessions) {
    await logOf(sessions).close()
    await sessions.close()
  },
  check,
  discover,
  async open(sessions, table, selection) {
    const source = await openSource(sessions, table, selection)
    if (selection.mode === 'cdc') return changeStream(source)
    return selection.mode === 'snapshot' ? snapshotStream(source) : queryStream(source, openWork(source))
  },
}
