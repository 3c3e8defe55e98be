import { expect, test } from '@jest/globals'
import { commit } from '../../../shared/delta/commit.ts'
import { commitPath, lastCheckpointPath, logFolder } from '../../../shared/delta/log-files.ts'
import { readSnapshot } from '../../../shared/delta/snapshot.ts'
import { history } from '../../../shared/delta/time-travel.ts'
import { memoryStorage } from '../../../shared/storage/memory.ts'
import type { Storage } from '../../../shared/storage/storage.ts'
import { bytes, committed, emptyTable, logEntry, testPorts } from '../../support/delta.ts'

const append = (path: string) => ({ operation: 'WRITE', add: [logEntry(path)], reads: 'nothing' as const })

async function tableOf(...paths: string[]) {
  const ports = testPorts()
  let table = await emptyTable(ports)
  for (const path of paths) table = committed(await commit(table, append(path), ports))
  return { ports, table }
}

function counted(storage: Storage) {
  const reads: string[] = []
  const lists: string[] = []
  const get: Storage['get'] = (path, range) => {
    reads.push(path)
    return storage.get(path, range)
  }
  const list: Storage['list'] = (prefix, startAfter) => {
    lists.push(prefix)
    return storage.list(prefix, startAfter)
  }
  return { reads, lists, storage: { ...storage, get, list } }
}

test('no log is no table', async () => {
  expect(await readSnapshot(memoryStorage(), 'shop')).toBeUndefined()
  expect(await history(memoryStorage(), 'shop')).toEqual([])
})

test('what a commit returns is what a reader sees', async () => {
  const { ports, table } = await tableOf('a', 'b', 'c')

  const read = await readSnapshot(ports.storage, 'shop')

  expect(read).toEqual({ ...table, timestampMs: read!.timestampMs })
  expect([...read!.files.keys()]).toEqual(['a', 'b', 'c'])
})

test('a cached snapshot is brought up to date from the new commits alone, without a listing', async () => {
  const { ports, table } = await tableOf('a')
  const later = committed(await commit(committed(await commit(table, append('b'), ports)), append('c'), ports))
  const { reads, lists, storage } = counted(ports.storage)

  const read = await readSnapshot(storage, 'shop', { after: table })

  expect(read!.files).toEqual(later.files)
  expect(reads).toEqual([1, 2, 3, 4].map((version) => commitPath('shop', version)))
  expect(lists).toEqual([])
  expect([...table.files.keys()]).toEqual(['a'])
})

test('a cached snapshot of a table that was dropped is none', async () => {
  const { ports, table } = await tableOf('a')
  await ports.storage.delete([commitPath('shop', 0), commitPath('shop', 1)])

  expect(await readSnapshot(ports.storage, 'shop', { after: table })).toBeUndefined()
})

test('earlier versions are read by number, and one that is not there is named with those that are', async () => {
  const { ports } = await tableOf('a', 'b')

  expect((await readSnapshot(ports.storage, 'shop', { version: 1 }))!.files.size).toBe(1)
  await expect(readSnapshot(ports.storage, 'shop', { version: 9 })).rejects.toThrow('there are versions 0 to 2')
})

test('earlier versions are read by time', async () => {
  let now = 1_000
  const storage = memoryStorage({ clock: { now: () => now, sleep: async () => {} } })
  const ports = testPorts(storage)
  let table = await emptyTable(ports)
  for (now of [2_000, 3_000]) table = committed(await commit(table, append(`at-${now}`), ports))

  expect((await readSnapshot(storage, 'shop', { timestampMs: 2_500 }))!.version).toBe(1)
  expect((await readSnapshot(storage, 'shop', { timestampMs: 9_000 }))!.version).toBe(2)
  await expect(readSnapshot(storage, 'shop', { timestampMs: 10 })).rejects.toThrow(/no version as old as 1970/)
})

test('in-commit timestamps count instead of the times of files, and grow whatever the clock does', async () => {
  const ports = testPorts()
  let table = await emptyTable(ports, { properties: { 'delta.enableInCommitTimestamps': 'true' } })
  const stopped = { ...ports, clock: { ...ports.clock, now: () => 5 } }
  table = committed(await commit(table, append('a'), stopped))

  const times = (await history(ports.storage, 'shop')).map(({ timestampMs }) => timestampMs)

  expect(times).toEqual([times[1]! + 1, times[1]!])
  expect((await readSnapshot(ports.storage, 'shop', { timestampMs: times[1]! }))!.version).toBe(0)
  expect((await readSnapshot(ports.storage, 'shop'))!.timestampMs).toBe(table.timestampMs)
})

test('a missing commit is named', async () => {
  const { ports } = await tableOf('a', 'b', 'c')
  await ports.storage.delete([commitPath('shop', 2)])

  await expect(readSnapshot(ports.storage, 'shop')).rejects.toThrow(commitPath('shop', 2))
  await ports.storage.delete([commitPath('shop', 0)])
  await expect(readSnapshot(ports.storage, 'shop')).rejects.toThrow(commitPath('shop', 0))
})

test.each(['not json', '{"version":"x"}', '{"version":77}'])(
  'a _last_checkpoint of %s is passed over: it is only a hint',
  async (hint) => {
    const { ports, table } = await tableOf('a')
    await ports.storage.put(lastCheckpointPath('shop'), bytes(hint))

    expect((await readSnapshot(ports.storage, 'shop'))!.files).toEqual(table.files)
  },
)

test.each(['{"add":', 'null', '5', '[]'])('a line that is no action is named with its file: %s', async (line) => {
  const { ports } = await tableOf('a')
  await ports.storage.put(commitPath('shop', 1), bytes(`{"commitInfo":{}}\n${line}`))

  await expect(readSnapshot(ports.storage, 'shop')).rejects.toThrow(`line 2 of ${commitPath('shop', 1)}`)
})

test.each(['protocol', 'metaData'])('a log without %s is refused', async (kind) => {
  const storage = memoryStorage()
  const other =
    kind === 'protocol' ? { metaData: { id: '1', configuration: {} } } : { protocol: { minReaderVersion: 1 } }
  await storage.put(commitPath('shop', 0), bytes(JSON.stringify(other)))

  await expect(readSnapshot(storage, 'shop')).rejects.toMatchObject({
    code: 'table.corrupt',
    message: expect.stringContaining(`has no ${kind} action`),
  })
})

test('compacted commits are read instead of what they hold', async () => {
  const { ports, table } = await tableOf('a', 'b', 'c', 'd')
  const range = `${logFolder('shop')}${'1'.padStart(20, '0')}.${'3'.padStart(20, '0')}.compacted.json`
  await ports.storage.put(
    range,
    bytes(['a', 'b', 'c'].map((path) => JSON.stringify({ add: logEntry(path) })).join('\n')),
  )
  const { reads, storage } = counted(ports.storage)

  const read = await readSnapshot(storage, 'shop')

  expect([...read!.files.keys()]).toEqual([...table.files.keys()])
  expect(reads).toEqual([lastCheckpointPath('shop'), commitPath('shop', 0), range, commitPath('shop', 4)])
})

test('an add and its remove meet however their paths are written', async () => {
  const ports = testPorts()
  let table = await emptyTable(ports)
  const add = [logEntry('/data/with%20space/p@%23h'), logEntry('part%2D1'), logEntry('s3://bucket/x')]
  table = committed(await commit(table, { operation: 'WRITE', add, reads: 'nothing' }, ports))
  const remove = [logEntry('file:///data/with space/p@%23h'), logEntry('part-1'), logEntry('s3a://bucket/x')]

  table = committed(await commit(table, { operation: 'DELETE', remove, reads: 'table' }, ports))

  expect(table.files.size).toBe(0)
  expect(table.tombstones.size).toBe(3)
})

test.each([
  [{ minReaderVersion: 99, minWriterVersion: 99 }, 'reader version 99', 'table.unsupported_feature'],
  [{ minReaderVersion: 3, minWriterVersion: 7 }, 'readerFeatures', 'table.corrupt'],
  [
    { minReaderVersion: 3, minWriterVersion: 7, readerFeatures: ['variantShredding', 'columnMapping'] },
    'variantShredding',
    'table.unsupported_feature',
  ],
])('a table that needs %o is refused by name', async (protocol, name, code) => {
  const { ports } = await tableOf('a')
  await ports.storage.put(commitPath('shop', 2), bytes(JSON.stringify({ protocol })))

  await expect(readSnapshot(ports.storage, 'shop')).rejects.toMatchObject({
    code,
    message: expect.stringContaining(name),
  })
})

test('a table whose data files are not Parquet is refused by their name', async () => {
  const { ports, table } = await tableOf('a')
  const metaData = { ...table.metadata, format: { provider: 'orc', options: {} } }
  await ports.storage.put(commitPath('shop', 2), bytes(JSON.stringify({ metaData })))

  await expect(readSnapshot(ports.storage, 'shop')).rejects.toMatchObject({
    code: 'table.unsupported_feature',
    message: expect.stringContaining('orc'),
  })
})

/** A log of one version, line by line as another writer left it. */
async function logOf(...lines: object[]) {
  const storage = memoryStorage()
  await storage.put(commitPath('shop', 0), bytes(lines.map((line) => JSON.stringify(line)).join('\n')))
  return storage
}

const schemaString = '{"type":"struct","fields":[{"name":"Day","type":"date","nullable":true,"metadata":{}}]}'
const protocol = { minReaderVersion: 1, minWriterVersion: 2 }

test('what a writer left out of the metadata, or spelled out as null, has its default', async () => {
  const nulls = { partitionColumns: null, configuration: null, format: null }
  const short = await logOf({ protocol }, { metaData: { id: 'x', schemaString } })
  const long = await logOf(
    { protocol: { ...protocol, readerFeatures: null }, add: null, remove: null, txn: null },
    { metaData: { id: 'x', schemaString, ...nulls }, protocol: null },
    { add: { path: 'a', partitionValues: { Day: null }, size: 1, deletionVector: null, stats: null }, remove: null },
  )

  for (const storage of [short, long]) {
    const { metadata } = (await readSnapshot(storage, 'shop'))!
    expect(metadata).toMatchObject({ partitionColumns: [], configuration: {}, format: { provider: 'parquet' } })
  }
  const [file] = (await readSnapshot(long, 'shop'))!.files.values()
  expect(file).toEqual({ path: 'a', partitionValues: { Day: null }, size: 1 })
})

test('a partition column that the schema does not have is refused by name', async () => {
  const storage = await logOf({ protocol }, { metaData: { id: 'x', schemaString, partitionColumns: ['day'] } })

  await expect(readSnapshot(storage, 'shop')).rejects.toMatchObject({
    code: 'table.corrupt',
    message: expect.stringContaining('partitioned by day'),
  })
})
