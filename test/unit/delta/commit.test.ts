import { expect, test } from '@jest/globals'
import { commit, createTable } from '../../../shared/delta/commit.ts'
import { addColumns } from '../../../shared/delta/evolve.ts'
import { commitPath } from '../../../shared/delta/log-files.ts'
import { newTable } from '../../../shared/delta/new-table.ts'
import { readSnapshot } from '../../../shared/delta/snapshot.ts'
import type { TableChange } from '../../../shared/delta/table.ts'
import { memoryStorage } from '../../../shared/storage/memory.ts'
import { everyCrashPoint } from '../../support/crash.ts'
import { column, committed, emptyTable, logEntry, shopSchema, testPorts, text } from '../../support/delta.ts'
import { faultyStorage } from '../../support/faulty-storage.ts'

const append = (path: string, more: Partial<TableChange> = {}): TableChange => ({
  operation: 'WRITE',
  add: [logEntry(path)],
  reads: 'nothing',
  ...more,
})

test('a blind append is laid on top of what others committed', async () => {
  const ports = testPorts()
  const base = await emptyTable(ports)
  committed(await commit(base, append('theirs'), ports))

  const table = committed(await commit(base, append('ours'), ports))

  expect(table.version).toBe(2)
  expect([...table.files.keys()]).toEqual(['theirs', 'ours'])
})

test.each<[string, TableChange, TableChange, string]>([
  ['a rewrite of the table', append('x'), { operation: 'MERGE', reads: 'table' }, 'rows this change was computed from'],
  [
    'a compaction',
    { operation: 'DELETE', remove: [logEntry('old')], reads: 'table' },
    { operation: 'OPTIMIZE', remove: [logEntry('old')], add: [logEntry('new')], reads: 'files' },
    'a file this change rewrites was removed',
  ],
])('%s that lost the race is a conflict', async (_, theirs, ours, reason) => {
  const ports = testPorts()
  const base = committed(await commit(await emptyTable(ports), append('old'), ports))
  committed(await commit(base, theirs, ports))

  const result = await commit(base, ours, ports)

  expect(result).toEqual({ kind: 'conflict', version: 2, reason: expect.stringContaining(reason) })
  expect((await readSnapshot(ports.storage, 'shop'))!.version).toBe(2)
})

test('a compaction is laid on top of appends, and a rewrite on top of a compaction of other files', async () => {
  const ports = testPorts()
  const two = { operation: 'WRITE', add: [logEntry('a'), logEntry('b'), logEntry('c')], reads: 'nothing' as const }
  const base = committed(await commit(await emptyTable(ports), two, ports))
  const compaction: TableChange = {
    operation: 'OPTIMIZE',
    remove: [logEntry('a'), logEntry('b')],
    add: [logEntry('ab')],
    reads: 'files',
  }

  committed(await commit(base, append('d'), ports))
  committed(await commit(base, compaction, ports))
  const compacted = (await readSnapshot(ports.storage, 'shop'))!
  committed(
    await commit(
      compacted,
      { operation: 'OPTIMIZE', remove: [logEntry('d')], add: [logEntry('d2')], reads: 'files' },
      ports,
    ),
  )
  const merge: TableChange = { operation: 'MERGE', remove: [logEntry('c')], add: [logEntry('c2')], reads: 'table' }
  const table = committed(await commit(compacted, merge, ports))

  expect([...table.files.keys()].sort()).toEqual(['ab', 'c2', 'd2'])
  expect(table.files.get('ab')!.dataChange).toBe(false)
})

test('a change of columns conflicts with every other writer, and is itself laid on top of appends', async () => {
  const ports = testPorts()
  const base = await emptyTable(ports)
  const { metadata } = addColumns(base, [column('price', 'double')], ports.random)!
  committed(await commit(base, append('first'), ports))

  const widened = committed(await commit(base, { operation: 'ADD COLUMNS', metadata, reads: 'nothing' }, ports))

  expect(widened.schema.fields.map(({ name }) => name)).toEqual(['id', 'name', 'price'])
  expect(await commit(base, append('second'), ports)).toMatchObject({ kind: 'conflict', version: 2 })
})

test('the same txn twice is one commit', async () => {
  const ports = testPorts()
  const base = await emptyTable(ports)
  const change = append('a', { txn: { appId: 'orders', version: 4 } })
  const table = committed(await commit(base, change, ports))

  expect(await commit(table, change, ports)).toEqual({ kind: 'duplicate', version: 1 })
  expect(await commit(base, change, ports)).toEqual({ kind: 'duplicate', version: 1 })
  expect(table.txns.get('orders')).toMatchObject({ version: 4 })
})

test('an owner that outlived its lease is stopped by the log, even where an append could be laid on top', async () => {
  const ports = testPorts()
  const base = await emptyTable(ports)
  committed(await commit(base, append('new owner', { txn: { appId: 'orders', version: 5 } }), ports))

  const late = await commit(base, append('old owner', { txn: { appId: 'orders', version: 6 } }), ports)

  expect(late).toMatchObject({ kind: 'conflict', reason: 'another process committed as orders' })
})

test('a table is made once', async () => {
  const ports = testPorts()
  const change = { ...newTable(shopSchema, ports), txn: { appId: 'orders', version: 1 } }
  const table = committed(await createTable('shop', change, ports))

  expect(table.protocol).toEqual({ minReaderVersion: 1, minWriterVersion: 2 })
  expect(await createTable('shop', change, ports)).toEqual({ kind: 'duplicate', version: 0 })
  expect(await createTable('shop', newTable(shopSchema, ports), ports)).toMatchObject({ kind: 'conflict', version: 0 })
})

test('the log entry is one JSON object a line, commitInfo first, with a txnId of its own', async () => {
  const ports = testPorts()
  const base = await emptyTable(ports)
  const parameters = { mode: 'Append', partitionBy: [] }
  await commit(base, append('a', { operationParameters: parameters, txn: { appId: 'orders', version: 1 } }), ports)

  const lines = text(await ports.storage.get(commitPath('shop', 1)))
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))

  expect(lines.map((line) => Object.keys(line)[0])).toEqual(['commitInfo', 'txn', 'add'])
  expect(lines[0].commitInfo).toMatchObject({
    operation: 'WRITE',
    operationParameters: { mode: 'Append', partitionBy: '[]' },
    readVersion: 0,
    isBlindAppend: true,
    txnId: expect.stringMatching(/^[0-9a-f-]{36}$/),
  })
})

test('the checksum of a version says what the version holds', async () => {
  const ports = testPorts()
  const table = committed(await commit(await emptyTable(ports), append('a'), ports))

  const checksum = JSON.parse(text(await ports.storage.get('shop/_delta_log/00000000000000000001.crc')))

  expect(checksum).toMatchObject({ tableSizeBytes: 100, numFiles: 1, numMetadata: 1, numProtocol: 1 })
  expect(checksum.metadata).toEqual(table.metadata)
})

test.each([1, 2, 3])('a lost reply of write %i makes no second commit', async (loseReplyAfterWrite) => {
  const bare = memoryStorage()
  const base = await emptyTable(testPorts(bare))
  const ports = testPorts(faultyStorage(bare, { loseReplyAfterWrite }), 2)

  const table = committed(await commit(base, append('a'), ports))

  expect(table.version).toBe(1)
  expect((await readSnapshot(bare, 'shop'))!.files.size).toBe(1)
})

test('wherever a commit dies, trying it again with its txn gives the same table', async () => {
  const points = await everyCrashPoint(async (crash) => {
    const storage = memoryStorage()
    const base = await emptyTable(testPorts(storage))
    const change = append('a', { txn: { appId: 'orders', version: 1 } })

    await crash.life(() => commit(base, change, testPorts(faultyStorage(storage, { crash }), 2)))
    await commit((await readSnapshot(storage, 'shop'))!, change, testPorts(storage, 3))

    const table = (await readSnapshot(storage, 'shop'))!
    expect([table.version, ...table.files.keys()]).toEqual([1, 'a'])
  })

  expect(points).toBeGreaterThan(2)
})

test.each([
  [{ 'delta.appendOnly': 'true' }, 'delta.appendOnly=true'],
  [{ 'delta.constraints.positive': 'id > 0' }, 'checkConstraints (positive)'],
])('a table with %o is not written against its rules', async (properties, named) => {
  const ports = testPorts()
  const table = await emptyTable(ports)
  const metadata = { ...table.metadata, configuration: properties as Record<string, string> }
  const change: TableChange = { operation: 'DELETE', remove: [logEntry('a')], metadata, reads: 'table' }

  await expect(commit(table, change, ports)).rejects.toMatchObject({
    code: 'table.unsupported_feature',
    message: expect.stringContaining(named),
  })
})
