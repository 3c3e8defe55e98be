import { join } from 'node:path'
import { afterAll, expect, test } from '@jest/globals'
import type { AddFile } from '../../../shared/delta/actions.ts'
import { commit } from '../../../shared/delta/commit.ts'
import { writeDeletionVectors } from '../../../shared/delta/deletion-vector.ts'
import { renameColumn } from '../../../shared/delta/evolve.ts'
import { columnBounds } from '../../../shared/delta/skipping.ts'
import { readSnapshot } from '../../../shared/delta/snapshot.ts'
import type { TableSnapshot } from '../../../shared/delta/table.ts'
import { clusteredSql } from '../../../shared/load/cluster-order.ts'
import { openEngine } from '../../../shared/load/engine.ts'
import { optimizeTable } from '../../../shared/load/optimize.ts'
import { readTableSql } from '../../../shared/load/read-table.ts'
import { parseTypeText } from '../../../shared/schema/type-text.ts'
import { diskStorage } from '../../../shared/storage/disk.ts'
import type { Storage } from '../../../shared/storage/storage.ts'
import { committed, dataFile, emptyTable, testPorts } from '../../support/delta.ts'
import { temporaryFolder } from '../../support/temporary-folder.ts'

const { folder, remove } = await temporaryFolder()
const engine = await openEngine({ scratch: join(folder, 'scratch'), threads: 1 })
const storage = diskStorage(folder)
const ports = { ...testPorts(storage), engine }

afterAll(async () => {
  engine.close()
  await remove()
})

const point = parseTypeText('struct<id:long,x:long,y:string,at:struct<city:string>>')
const schema = { fields: point.kind === 'struct' ? point.fields : [] }
const row = (id: number) => ({ id, x: (id * 7919) % 1000, y: `${(id * 104_729) % 1000}`, at: { city: `c${id % 3}` } })

async function tableOf(root: string, batches: readonly (readonly number[])[], options = {}): Promise<TableSnapshot> {
  let table = await emptyTable(ports, { root, schema, ...options })
  for (const ids of batches) table = await add(table, [await dataFile(table, ids.map(row), ports)])
  return table
}

const add = async (table: TableSnapshot, files: AddFile[]) =>
  committed(await commit(table, { operation: 'WRITE', add: files, reads: 'nothing' }, ports))

const rowsOf = (table: TableSnapshot) =>
  engine.session(async (session) =>
    session.rows(`select * from (${await readTableSql(session, storage, table)}) order by id`),
  )

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => from + index)

test('small files become one, rows and old versions stay, and readers of changes see nothing', async () => {
  const before = await tableOf('joined', [range(0, 10), range(10, 20), range(20, 30)])

  const result = await optimizeTable('joined', ports)

  const after = (await readSnapshot(storage, 'joined'))!
  expect(result).toMatchObject({ version: 4, filesRemoved: 3, filesAdded: 1, conflicts: 0 })
  expect(after.files.size).toBe(1)
  expect(await rowsOf(after)).toEqual(await rowsOf(before))
  expect([...after.files.values(), ...after.tombstones.values()].map(({ dataChange }) => dataChange)).not.toContain(
    true,
  )
  expect(await optimizeTable('joined', ports)).toMatchObject({ version: 4, filesRemoved: 0 })
})

test('deleted rows are left out, renamed columns keep their files readable', async () => {
  let table = await tableOf('renamed', [range(0, 10), range(10, 20)], {
    properties: { 'delta.enableDeletionVectors': 'true' },
  })
  const [first] = [...table.files.values()]
  const [deletionVector] = await writeDeletionVectors(storage, 'renamed', [[0, 1, 2]], ports.random)
  const { schema: _, ...rename } = renameColumn(table, 'at', 'place')
  table = committed(await commit(table, { operation: 'RENAME COLUMN', ...rename, reads: 'nothing' }, ports))
  const change = { operation: 'DELETE', remove: [first!], add: [{ ...first!, deletionVector: deletionVector! }] }
  table = committed(await commit(table, { ...change, reads: 'table' }, ports))
  const before = await rowsOf(table)

  await optimizeTable('renamed', ports)

  const after = (await readSnapshot(storage, 'renamed'))!
  expect(before).toHaveLength(17)
  expect(await rowsOf(after)).toEqual(before)
  expect([...after.files.values()].map((file) => [file.deletionVector, columnBounds(file, after, ['id'])])).toEqual([
    [undefined, { min: 3n, max: 19n, nulls: 0 }],
  ])
})

test('rows are ordered by the clustering columns, once', async () => {
  const before = await tableOf('clustered', [range(0, 500), range(500, 1000)])
  const options = { clusteringColumns: ['X', 'at.city'] }

  const { version, filesAdded } = await optimizeTable('clustered', ports, options)

  const after = (await readSnapshot(storage, 'clustered'))!
  expect(filesAdded).toBe(1)
  expect(await rowsOf(after)).toEqual(await rowsOf(before))
  expect(await optimizeTable('clustered', ports, options)).toMatchObject({ version, filesAdded: 0 })
  expect(await optimizeTable('clustered', ports, { clusteringColumns: ['id'] })).toMatchObject({ filesAdded: 1 })
})

test('along the curve, a sixteenth of the rows covers a quarter of each of two columns', async () => {
  const relation =
    "select i * i as x, 'y' || (1000 + j) as y from range(64) a(i), range(64) b(j) order by hash(i + 64 * j)"
  const rows = await engine.session(({ rows }) => rows(clusteredSql(relation, [['x'], ['y']])))

  expect(Object.keys(rows[0]!)).toEqual(['x', 'y'])
  for (let at = 0; at < 4096; at += 256) {
    const part = rows.slice(at, at + 256)
    expect(new Set(part.map(({ x }) => x)).size).toBe(16)
    expect(new Set(part.map(({ y }) => y)).size).toBe(16)
  }
})

test('a partition is joined by itself and keeps its values', async () => {
  let table = await emptyTable(ports, { root: 'parts', schema, partitionColumns: ['y'] })
  for (const y of ['a', null, 'a', null]) {
    const { y: _, ...rest } = row(table.version)
    table = await add(table, [await dataFile(table, [rest], ports, { y })])
  }
  const before = await rowsOf(table)

  await optimizeTable('parts', ports)

  const after = (await readSnapshot(storage, 'parts'))!
  expect(after.files.size).toBe(2)
  expect(await rowsOf(after)).toEqual(before)
})

test('the ingest wins: what it rewrote meanwhile is planned again, and nothing is lost', async () => {
  const table = await tableOf('raced', [range(0, 10), range(10, 20)])
  const [first] = [...table.files.values()]
  let raced = false
  const racing: Storage = {
    ...storage,
    async putIfAbsent(path, bytes) {
      if (!raced && path.includes('_delta_log')) {
        raced = true
        const replacement = await dataFile(table, range(100, 105).map(row), ports)
        committed(
          await commit(table, { operation: 'MERGE', remove: [first!], add: [replacement], reads: 'table' }, ports),
        )
      }
      return storage.putIfAbsent(path, bytes)
    },
  }

  const result = await optimizeTable('raced', { ...ports, storage: racing })

  const after = (await readSnapshot(storage, 'raced'))!
  expect(result).toMatchObject({ conflicts: 1, filesRemoved: 2, filesAdded: 1 })
  expect((await rowsOf(after)).map(({ id }) => Number(id))).toEqual([...range(10, 20), ...range(100, 105)])
  const files: string[] = []
  for await (const { path } of storage.list('raced/part-')) files.push(path)
  expect(files).toHaveLength(4)
})

test.each([
  [['nope'], 'there is no such plain column'],
  [['at'], 'there is no such plain column'],
  [['id', 'x', 'y', 'at.city', 'id', 'x', 'y'], 'at most 6 columns'],
])('clustering by %j is refused', async (clusteringColumns, message) => {
  await tableOf(`refused-${clusteringColumns.length}-${clusteringColumns[0]}`, [])

  await expect(
    optimizeTable(`refused-${clusteringColumns.length}-${clusteringColumns[0]}`, ports, { clusteringColumns }),
  ).rejects.toThrow(message)
})
