import type { Connector } from '../../connector/connector.ts'
import { queryStream } from '../../connector/sql/query-stream.ts'
import { snapshotStream } from '../../connector/sql/snapshot-stream.ts'
import { changeStream } from './changes.ts'
import { check } from './check.ts'
import { config, type PostgresConfig } from './config.ts'
import { discover } from './discover.ts'
import { openWork } from './finished.ts'
import { Sessions } from './session.ts'
import { closeSlots, slotOf } from './slot.ts'
import { openSource } from './source.ts'
import { sqlSource } from './sql-source.ts'

/** PostgreSQL 13 and later, and what speaks its protocol and has its catalog. */
export const postgres: Connector<PostgresConfig, Sessions> = {
  name: 'postgres',
  title: 'PostgreSQL',
  about: {
    auth: 'user and password; TLS as in libpq',
    objects: 'tables, partitioned tables, views, materialised views, foreign tables',
    modes: ['cdc', 'query', 'snapshot'],
    position: 'log sequence number of a commit; or cursor columns, up to what no open transaction can add to',
    snapshot: '`COPY`, in ranges of the primary key or of pages',
    changes: 'write-ahead log, decoded by `pgoutput`; or rows whose cursor columns grew',
    deletes: 'in the log; by `deletion_condition` or a sweep of keys',
    historyLoss: 'slot gone, lost or moved: `source.position_lost`, the table is copied again',
    limits: 'one publication and slot a pipeline, read once for all its tables; `parallelism` readers a table',
    tested: 'real servers of versions 13 to 18',
  },
  config,
  // Connections are opened when they are needed: a wrong password is the first query's error.
  connect: async (config, run) => new Sessions(config, run),
  async close(sessions) {
    await closeSlots(sessions)
    await sessions.close()
  },
  check,
  discover,
  async open(sessions, table, selection) {
    const source = await openSource(sessions, table, selection)
    if (selection.mode === 'cdc') return changeStream(source)
    const readable = sqlSource(source)
    return selection.mode === 'snapshot' ? snapshotStream(readable) : queryStream(readable, openWork(source))
  },
  release: (sessions, owner, keep) => slotOf(sessions, owner, undefined).release(keep),
}
