import { expect, test } from '@jest/globals'
import { unexpiredTombstones, writeActions } from '../../../shared/delta/checkpoint.ts'
import { type CommitPorts, commit } from '../../../shared/delta/commit.ts'
import { intervalMs } from '../../../shared/delta/interval.ts'
import { commitPath, lastCheckpointPath, logFolder, versionName } from '../../../shared/delta/log-files.ts'
import { readSnapshot } from '../../../shared/delta/snapshot.ts'
import type { TableChange, TableSnapshot } from '../../../shared/delta/table.ts'
import { memoryStorage } from '../../../shared/storage/memory.ts'
import { everyCrashPoint } from '../../support/crash.ts'
import { bytes, committed, emptyTable, logEntry, testPorts, text } from '../../support/delta.ts'
import { faultyStorage } from '../../support/faulty-storage.ts'

const add = (index: number) =>
  logEntry(`part ${index}`, {
    partitionValues: { day: index % 2 ? null : '2026-01-02', kind: 'ä=%' },
    stats: `{"numRecords":${index}}`,
    ...(index === 3
      ? { deletionVector: { storageType: 'i', pathOrInlineDv: 'x', sizeInBytes: 1, cardinality: 2 } }
      : {}),
    ...(index === 4 ? { tags: { note: 'kept' } } : {}),
  })

async function append(table: TableSnapshot, from: number, to: number, ports: CommitPorts): Promise<TableSnapshot> {
  let at = table
  for (let index = from; index <= to; index++) {
    const change: TableChange = {
      operation: 'WRITE',
      add: [add(index)],
      remove: index === 12 ? [add(2)] : [],
      txn: { appId: 'orders', version: index },
      reads: 'files',
    }
    at = committed(await commit(at, change, ports))
  }
  return at
}

const comparable = ({ files, timestampMs: _, tombstones, ...table }: TableSnapshot) => ({
  ...table,
  files: new Map([...files].map(([key, file]) => [key, { ...file, dataChange: false }])),
  tombstones: [...tombstones.keys()],
})

async function deleteCommits(ports: CommitPorts, to: number) {
  await ports.storage.delete(Array.from({ length: to + 1 }, (_, version) => commitPath('shop', version)))
}

test('every tenth commit is a log checkpoint from which the table is read whole', async () => {
  const ports = testPorts()
  const features = { 'delta.enableDeletionVectors': 'true', 'delta.enableChangeDataFeed': 'true' }
  const table = await append(await emptyTable(ports, { properties: features }), 1, 23, ports)

  expect(JSON.parse(text(await ports.storage.get(lastCheckpointPath('shop'))))).toMatchObject({
    version: 20,
    numOfAddFiles: 19,
    size: 23,
  })
  await deleteCommits(ports, 20)
  expect(comparable((await readSnapshot(ports.storage, 'shop'))!)).toEqual(comparable(table))
  expect(table.files.get('part 5')!.partitionValues).toEqual({ day: null, kind: 'ä=%' })
})

test('removed files are forgotten by the first checkpoint after their retention', async () => {
  const ports = testPorts()
  const properties = { 'delta.deletedFileRetentionDuration': 'interval 1 hour' }
  const table = await append(await emptyTable(ports, { properties }), 1, 15, ports)

  expect([...table.tombstones.keys()]).toEqual(['part 2'])
  expect(unexpiredTombstones(table, ports.clock.now() + 3_600_000).size).toBe(0)
})

test.each([
  ['interval 7 days', 604_800_000],
  ['INTERVAL 1 DAY 12 hours', 129_600_000],
  ['interval 1 week', 604_800_000],
  ['soon', 5],
  [undefined, 5],
])('%s is understood as a time', (property, wanted) => {
  expect(intervalMs(property, 5)).toBe(wanted)
})

const actionsOf = (table: TableSnapshot) => [
  { protocol: table.protocol },
  { metaData: table.metadata },
  ...[...table.txns.values()].map((txn) => ({ txn })),
  ...[...table.files.values()].map((file) => ({ add: { ...file } })),
]

test('a checkpoint in parts is read when all of its parts are there', async () => {
  const ports = testPorts()
  const table = await append(await emptyTable(ports), 1, 5, ports)
  const part = (n: number) => `${logFolder('shop')}${versionName(5)}.checkpoint.000000000${n}.0000000002.parquet`
  const actions = actionsOf(table)

  await writeActions(ports.storage, part(1), actions.slice(0, 4))
  await expect(readSnapshot(ports.storage, 'shop')).resolves.toMatchObject({ version: 5 })
  await writeActions(ports.storage, part(2), actions.slice(4))
  await deleteCommits(ports, 5)

  expect(comparable((await readSnapshot(ports.storage, 'shop'))!)).toEqual({ ...comparable(table), tombstones: [] })
})

test.each(['json', 'parquet'])('a V2 checkpoint in %s is read with its sidecars', async (encoding) => {
  const ports = testPorts()
  const table = await append(await emptyTable(ports), 1, 5, ports)
  const path = `${logFolder('shop')}${versionName(5)}.checkpoint.80a083e8-7026-4e79-81be-64bd76c43a11.${encoding}`
  const [files, rest] = [actionsOf(table).slice(3), actionsOf(table).slice(0, 3)]
  const halves = [files.slice(0, 2), files.slice(2)]
  for (const [index, half] of halves.entries()) {
    await writeActions(ports.storage, `${logFolder('shop')}_sidecars/${index}.parquet`, half)
  }

  if (encoding === 'json') {
    const sidecars = halves.map((_, index) => ({ sidecar: { path: `${index}.parquet`, sizeInBytes: 1 } }))
    const lines = [{ checkpointMetadata: { version: 5 } }, ...rest, ...sidecars]
    await ports.storage.put(path, bytes(lines.map((line) => JSON.stringify(line)).join('\n')))
  } else {
    await writeActions(ports.storage, path, [...rest, ...files])
  }
  await deleteCommits(ports, 5)

  expect(comparable((await readSnapshot(ports.storage, 'shop'))!)).toEqual({ ...comparable(table), tombstones: [] })
})

test.each(['PAR1 no longer', ''])(
  'a damaged checkpoint (%j) is passed over while the commits tell the same',
  async (text) => {
    const ports = testPorts()
    const table = await append(await emptyTable(ports), 1, 21, ports)
    await ports.storage.put(`${logFolder('shop')}${versionName(20)}.checkpoint.parquet`, bytes(text))

    expect((await readSnapshot(ports.storage, 'shop'))!.files).toEqual(table.files)
  },
)

test('a damaged checkpoint that is needed is named', async () => {
  const ports = testPorts()
  await append(await emptyTable(ports), 1, 11, ports)
  const path = `${logFolder('shop')}${versionName(10)}.checkpoint.parquet`
  await ports.storage.put(path, bytes('PAR1 no longer'))
  await deleteCommits(ports, 9)

  await expect(readSnapshot(ports.storage, 'shop')).rejects.toThrow(path)
})

test('wherever a commit with a checkpoint dies, the table is whole and the next writer goes on', async () => {
  await everyCrashPoint(async (crash) => {
    const storage = memoryStorage()
    const empty = await emptyTable(testPorts(storage), { properties: { 'delta.checkpointInterval': '2' } })
    const table = await append(empty, 1, 1, testPorts(storage, 2))

    await crash.life(() => append(table, 2, 2, testPorts(faultyStorage(storage, { crash }), 3)))
    const found = (await readSnapshot(storage, 'shop'))!
    const after = await append(found, found.version + 1, 5, testPorts(storage, 4))

    expect(comparable((await readSnapshot(storage, 'shop'))!)).toEqual(comparable(after))
    expect(after.files.size).toBe(5)
  })
})
