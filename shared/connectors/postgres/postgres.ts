import type { Connector } from '../../connector/connector.ts'
import { changeStream } from './changes.ts'
import { check } from './check.ts'
import { config, type PostgresConfig } from './config.ts'
import { discover } from './discover.ts'
import { queryStream } from './query.ts'
import { Sessions } from './session.ts'
import { slotOf } from './slot.ts'
import { snapshotStream } from './snapshot.ts'
import { openSource } from './source.ts'

/** PostgreSQL 13 and later, and what speaks its protocol and has its catalog. */
export const postgres: Connector<PostgresConfig, Sessions> = {
  name: 'postgres',
  title: 'PostgreSQL',
  config,
  // Connections are opened when they are needed: a wrong password is the first query's error.
  connect: async (config, run) => new Sessions(config, run),
  close: (sessions) => sessions.close(),
  check,
  discover,
  async open(sessions, table, selection) {
    const source = await openSource(sessions, table, selection)
    if (selection.mode === 'cdc') return changeStream(source)
    return selection.mode === 'snapshot' ? snapshotStream(source) : queryStream(source)
  },
  release: (sessions, owner, keep) => slotOf(sessions, owner, undefined).release(keep),
}
