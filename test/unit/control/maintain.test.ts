import { join } from 'node:path'
import { afterAll, expect, test } from '@jest/globals'
import { listTables } from '../../../shared/control/lakehouse.ts'
import { type Maintained, type MaintainOptions, maintainTables } from '../../../shared/control/maintain.ts'
import { commit } from '../../../shared/delta/commit.ts'
import { readSnapshot } from '../../../shared/delta/snapshot.ts'
import { openEngine } from '../../../shared/load/engine.ts'
import { openCommitter } from '../../../shared/push/commit.ts'
import { memoryQueue } from '../../../shared/queue/memory.ts'
import { memoryState } from '../../../shared/state/memory.ts'
import { diskStorage } from '../../../shared/storage/disk.ts'
import { column, committed, dataFile, emptyTable, testPorts } from '../../support/delta.ts'
import { temporaryFolder } from '../../support/temporary-folder.ts'

const { folder, remove } = await temporaryFolder()
const engine = await openEngine({ scratch: join(folder, 'scratch'), threads: 1 })
const DAY_MS = 86_400_000

afterAll(async () => {
  engine.close()
  await remove()
})

const schema = { fields: [column('id', 'long')] }

/** A lakehouse with these tables, each of so many files of one row; events are pushed into those of the schema `events`. */
async function lakehouse(name: string, tables: Record<string, number>) {
  const storage = diskStorage(join(folder, name))
  let nowMs = Date.now()
  const clock = { ...testPorts(storage).clock, now: () => nowMs }
  const ports = { ...testPorts(storage), clock, state: memoryState({ clock }), engine: async () => engine }
  for (const [root, files] of Object.entries(tables)) {
    let table = await emptyTable(ports, { root, schema })
    for (let id = 0; id < files; id++) {
      const add = [await dataFile(table, [{ id }], ports)]
      table = committed(await commit(table, { operation: 'WRITE', add, reads: 'nothing' }, ports))
    }
    if (root.startsWith('main/events/'))
      await openCommitter(root.replaceAll('/', '.'), 'a process', { ...ports, queue: memoryQueue() })
  }
  return {
    storage,
    forward: (ms: number) => {
      nowMs += ms
    },
    async maintain(options?: MaintainOptions): Promise<Maintained[]> {
      return Array.fromAsync(maintainTables(await listTables(storage), ports, options))
    },
    files: async (root: string) => (await readSnapshot(storage, root))!.files.size,
    objects: async (root: string) => {
      const paths = await Array.fromAsync(storage.list(`${root}/`), ({ path }) => path)
      return paths.filter((path) => path.endsWith('.parquet') && !path.includes('/_delta_log/')).length
    },
  }
}

test('many small files of a pushed table become one; those of other tables are their own runs to join', async () => {
  const lake = await lakehouse('joined', { 'main/events/clicks': 33, 'main/shop/orders': 33 })

  const done = await lake.maintain()

  expect(done).toEqual([{ table: 'main.events.clicks', filesJoined: 33, filesWritten: 1, filesDeleted: 0 }])
  expect(await lake.files('main/shop/orders')).toBe(33)
  expect(await lake.maintain()).toEqual([])
})

test('files that no version needs any more are deleted when they are old, looked for once a day', async () => {
  const lake = await lakehouse('cleared', { 'main/events/clicks': 33 })
  await lake.maintain()
  lake.forward(DAY_MS / 2)
  const early = await lake.maintain()
  lake.forward(8 * DAY_MS)

  const done = await lake.maintain()

  expect(early).toEqual([])
  expect(done).toEqual([{ table: 'main.events.clicks', filesJoined: 0, filesWritten: 0, filesDeleted: 33 }])
  expect(await lake.objects('main/events/clicks')).toBe(1)
})

test('a table that fails is told, and the others are done', async () => {
  const lake = await lakehouse('failing', { 'main/events/clicks': 33, 'main/events/broken': 1 })
  await lake.storage.put('main/events/broken/_delta_log/00000000000000000001.json', Buffer.from('{'))

  const done = await lake.maintain()

  expect(done.find(({ table }) => table === 'main.events.broken')?.error?.code).toBe('table.corrupt')
  expect(await lake.files('main/events/clicks')).toBe(1)
})

test('nothing is begun after the deadline', async () => {
  const lake = await lakehouse('late', { 'main/events/clicks': 33 })

  expect(await lake.maintain({ deadlineMs: 0 })).toEqual([])
  expect(await lake.files('main/events/clicks')).toBe(33)
})
