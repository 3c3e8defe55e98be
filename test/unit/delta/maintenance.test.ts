import { expect, test } from '@jest/globals'
import type { AddFile } from '../../../shared/delta/actions.ts'
import { commit } from '../../../shared/delta/commit.ts'
import { writeDeletionVectors } from '../../../shared/delta/deletion-vector.ts'
import { cleanLog } from '../../../shared/delta/log-cleanup.ts'
import { CLUSTERED_TAG, planCompaction } from '../../../shared/delta/plan-compaction.ts'
import { readSnapshot } from '../../../shared/delta/snapshot.ts'
import type { TableSnapshot } from '../../../shared/delta/table.ts'
import { vacuum } from '../../../shared/delta/vacuum.ts'
import { memoryStorage } from '../../../shared/storage/memory.ts'
import { bytes, column, committed, emptyTable, logEntry, testPorts } from '../../support/delta.ts'

const DAY_MS = 86_400_000
const HOUR_MS = 3_600_000

/** Storage and ports that share one clock, moved by hand. */
function world() {
  const time = { now: Date.UTC(2026, 0, 1) }
  const clock = { now: () => time.now, sleep: async () => {} }
  const storage = memoryStorage({ clock })
  return { time, storage, ports: { ...testPorts(storage), clock } }
}

async function paths(storage: ReturnType<typeof memoryStorage>, prefix: string) {
  const found: string[] = []
  for await (const { path } of storage.list(prefix)) found.push(path)
  return found
}

test('vacuum deletes what no version within the retention needs, and nothing else', async () => {
  const { time, storage, ports } = world()
  let table = await emptyTable(ports)
  const put = (name: string) => storage.put(`shop/${name}`, bytes('data'))
  const change = async (add: AddFile[], remove: AddFile[] = []) => {
    table = committed(await commit(table, { operation: 'WRITE', add, remove, reads: 'table' }, ports))
  }
  const keptNames = ['live', 'day=1/a b', '_lakeflow/x', 'metadata/v1.json', '.hidden', '_day/x']
  const goneNames = ['orphan', 'removed long ago', '_change_data/cdc-1', '_day=1/orphan']
  for (const name of [...keptNames, ...goneNames]) await put(name)
  await change([
    logEntry('live'),
    logEntry('day=1/a%20b'),
    logEntry('removed%20long%20ago'),
    logEntry('fresh%20removal'),
  ])
  await put('fresh removal')
  const [vector, old] = await writeDeletionVectors(storage, 'shop', [[1], [2]], ports.random)
  const [unused] = await writeDeletionVectors(storage, 'shop', [[3]], ports.random)
  await change([logEntry('live', { deletionVector: vector! })], [logEntry('live'), logEntry('removed%20long%20ago')])
  time.now += 8 * DAY_MS
  await change([], [logEntry('fresh%20removal')])
  await put('being written')

  const dry = await vacuum(storage, 'shop', ports, { dryRun: true })
  expect(await paths(storage, 'shop/')).toEqual(expect.arrayContaining(dry.deleted))
  const done = await vacuum(storage, 'shop', ports)

  expect(done.deleted.filter((path) => !path.includes('deletion_vector')).sort()).toEqual(
    goneNames.map((name) => `shop/${name}`).sort(),
  )
  expect(done.deleted.filter((path) => path.includes('deletion_vector'))).toHaveLength(1)
  expect(done.freedBytes).toBe(dry.freedBytes)
  for (const name of [...keptNames, 'fresh removal', 'being written']) {
    expect(await storage.get(`shop/${name}`)).toBeDefined()
  }
  expect([old!.pathOrInlineDv, unused!.pathOrInlineDv]).not.toContain(undefined)
  expect((await vacuum(storage, 'shop', ports)).deleted).toEqual([])
})

test('a retention shorter than the table has must be forced', async () => {
  const { storage, ports } = world()
  await emptyTable(ports, { properties: { 'delta.deletedFileRetentionDuration': 'interval 2 days' } })
  await storage.put('shop/orphan', bytes('data'))

  await expect(vacuum(storage, 'shop', ports, { retentionMs: HOUR_MS })).rejects.toThrow('shorter than the 48 hours')
  expect((await vacuum(storage, 'shop', ports, { retentionMs: 2 * DAY_MS })).deleted).toEqual([])
  expect((await vacuum(storage, 'shop', ports, { retentionMs: -1, force: true })).deleted).toEqual(['shop/orphan'])
  await expect(vacuum(storage, 'other', ports)).rejects.toMatchObject({ code: 'table.missing' })
})

test('log cleanup keeps every version younger than the retention readable', async () => {
  const { time, storage, ports } = world()
  let table = await emptyTable(ports)
  for (let version = 1; version <= 34; version++) {
    time.now += 2 * DAY_MS
    table = committed(
      await commit(table, { operation: 'WRITE', add: [logEntry(`f${version}`)], reads: 'nothing' }, ports),
    )
  }
  const youngest = Array.from({ length: 15 }, (_, index) => 34 - index)

  const deleted = await cleanLog(storage, table, ports)

  // Version 19 is 30 days old; the checkpoint before it is 10.
  expect(deleted).toHaveLength(20)
  for (const version of youngest) {
    expect((await readSnapshot(storage, 'shop', { version }))!.files.size).toBe(version)
  }
  expect((await readSnapshot(storage, 'shop', { version: 10 }))!.files.size).toBe(10)
  await expect(readSnapshot(storage, 'shop', { version: 9 })).rejects.toThrow('there are versions 10 to 34')
  expect(await cleanLog(storage, table, ports)).toEqual([])
})

test('log cleanup can be switched off', async () => {
  const { time, storage, ports } = world()
  const properties = { 'delta.enableExpiredLogCleanup': 'false', 'delta.checkpointInterval': '1' }
  const table = committed(
    await commit(await emptyTable(ports, { properties }), { operation: 'WRITE', reads: 'nothing' }, ports),
  )
  time.now += 90 * DAY_MS

  expect(await cleanLog(storage, table, ports)).toEqual([])
})

const MIB = 1 << 20

async function tableOf(files: AddFile[], partitionColumns: string[] = []): Promise<TableSnapshot> {
  const ports = testPorts()
  const schema = { fields: [column('id'), column('day', 'string'), column('name', 'string')] }
  const table = await emptyTable(ports, { schema, partitionColumns })
  return committed(await commit(table, { operation: 'WRITE', add: files, reads: 'nothing' }, ports))
}

const sized = (path: string, mib: number, more: Partial<AddFile> = {}) => logEntry(path, { size: mib * MIB, ...more })

const names = (table: TableSnapshot, options = {}) =>
  planCompaction(table, options).map(({ files }) => files.map(({ path }) => path))

test('small files are joined up to the target, partition by partition', async () => {
  const monday = { partitionValues: { day: 'mon' } }
  const files = [
    sized('a', 60),
    sized('big', 100),
    sized('b', 60),
    sized('c', 60),
    sized('d', 10, monday),
    sized('e', 10, monday),
  ]
  const table = await tableOf(files, ['day'])

  expect(names(table)).toEqual([
    ['a', 'b'],
    ['d', 'e'],
  ])
  expect(names(table, { smallFileCount: 3 })).toEqual([])
  expect(names(table, { targetBytes: 1 << 30 })).toEqual([
    ['a', 'big', 'b', 'c'],
    ['d', 'e'],
  ])
})

test('a file with many deleted rows is rewritten, even alone', async () => {
  const vector = (cardinality: number) => ({
    stats: '{"numRecords":100}',
    deletionVector: { storageType: 'i' as const, pathOrInlineDv: 'x', sizeInBytes: 1, cardinality },
  })

  expect(names(await tableOf([sized('much', 120, vector(30)), sized('little', 120, vector(10))]))).toEqual([['much']])
})

test('with clustering columns, files not ordered by them are taken, by their smallest value', async () => {
  const stats = (min: number) => ({ stats: `{"numRecords":1,"minValues":{"id":${min}},"maxValues":{"id":${min + 5}}}` })
  const files = [
    sized('high', 120, stats(10)),
    sized('low', 120, stats(2)),
    sized('unknown', 120),
    sized('done', 120, { tags: { [CLUSTERED_TAG]: 'id' }, ...stats(0) }),
  ]
  const table = await tableOf(files)

  expect(names(table, { clusteringColumns: ['id'] })).toEqual([['low', 'high', 'unknown']])
  expect(names(table)).toEqual([])
})
