import { join } from 'node:path'
import { diskQueue } from '../../shared/queue/disk.ts'
import { sqliteState } from '../../shared/state/sqlite.ts'
import { faultyQueue } from './faulty-queue.ts'
import { startPushIn } from './push-door.ts'

/** A push server in a process of its own, to be killed. Its queue delivers every record twice. */
const folder = process.argv[2]!
const server = await startPushIn(folder, {
  state: sqliteState(join(folder, 'state.db')),
  queue: faultyQueue(await diskQueue(join(folder, 'queue')), { duplicate: true }),
  settings: { drainMs: 1000 },
  flush: { fileAgeMs: 300 },
})
process.send!({ port: server.port })
// Whoever started it is gone.
process.on('disconnect', () => process.exit(1))
process.on('message', (message) => {
  if (message === 'stop') void server.close().then(() => process.exit(0))
})
