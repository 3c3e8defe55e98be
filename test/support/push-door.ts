import { join } from 'node:path'
import { type PushServer, type PushServerOptions, startPushServer } from '../../local/push-server.ts'
import { systemClock } from '../../shared/core/clock.ts'
import { systemRandom } from '../../shared/core/random.ts'
import { createAuthenticator } from '../../shared/push/auth.ts'
import { diskQueue } from '../../shared/queue/disk.ts'
import { memoryState } from '../../shared/state/memory.ts'
import { diskStorage } from '../../shared/storage/disk.ts'
import { clicks } from './push.ts'
import { temporaryFolder } from './temporary-folder.ts'

export interface TestPushServer extends PushServer {
  lake: ReturnType<typeof diskStorage>
}

/** A push server of this process on a free port, its lake and queue in a folder that `cleanups` removes. Token: `secret`. */
export async function startTestPush(
  cleanups: (() => Promise<unknown>)[],
  options: Partial<PushServerOptions> = {},
): Promise<TestPushServer> {
  const { folder, remove } = await temporaryFolder()
  cleanups.push(remove)
  const server = await startPushIn(folder, options)
  cleanups.push(() => server.close())
  return server
}

/** The same with its lake and queue in a folder that stays. */
export async function startPushIn(folder: string, options: Partial<PushServerOptions> = {}): Promise<TestPushServer> {
  const lake = diskStorage(join(folder, 'lake'))
  const server = await startPushServer({
    storage: lake,
    state: memoryState(),
    queue: options.queue ?? (await diskQueue(join(folder, 'queue'))),
    clock: systemClock,
    random: systemRandom,
    tables: [clicks],
    authenticate: createAuthenticator({ tokens: [writer, other] }),
    port: 0,
    flush: { fileAgeMs: 50 },
    ...options,
    settings: { drainMs: 500, ...options.settings },
  })
  return { ...server, lake }
}

const writer = {
  name: 'writer',
  token: 'secret',
  grants: [{ tables: ['main.*.*'], actions: ['write' as const, 'create' as const] }],
  quota: {},
}

const other = {
  name: 'other',
  token: 'other',
  grants: [{ tables: ['else.*.*'], actions: ['write' as const] }],
  quota: {},
}
