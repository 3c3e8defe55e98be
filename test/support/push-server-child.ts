import { join } from 'node:path'
import { startPushServer } from '../../local/push-server.ts'
import { systemClock } from '../../shared/core/clock.ts'
import { systemRandom } from '../../shared/core/random.ts'
import { createAuthenticator } from '../../shared/push/auth.ts'
import { diskQueue } from '../../shared/queue/disk.ts'
import { sqliteState } from '../../shared/state/sqlite.ts'
import { diskStorage } from '../../shared/storage/disk.ts'
import { faultyQueue } from './faulty-queue.ts'
import { clicks } from './push.ts'

/** A push server in a process of its own, to be killed. Its queue delivers every record twice. */
const folder = process.argv[2]!
const server = await startPushServer({
  storage: diskStorage(join(folder, 'lake')),
  state: sqliteState(join(folder, 'state.db')),
  queue: faultyQueue(await diskQueue(join(folder, 'queue')), { duplicate: true }),
  clock: systemClock,
  random: systemRandom,
  tables: [clicks],
  authenticate: createAuthenticator({
    tokens: [{ name: 't', token: 'secret', grants: [{ tables: ['*'], actions: ['write'] }], quota: {} }],
  }),
  port: 0,
  settings: { drainMs: 1000 },
  flush: { fileAgeMs: 300 },
})
process.send!({ port: server.port })
// Whoever started it is gone.
process.on('disconnect', () => process.exit(1))
process.on('message', (message) => {
  if (message === 'stop') void server.close().then(() => process.exit(0))
})
