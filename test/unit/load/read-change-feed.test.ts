import { join } from 'node:path'
import { afterAll, expect, test } from '@jest/globals'
import { CHANGE_DATA_FOLDER, cdcFile, changeTypeField, hasChangeFeed } from '../../../shared/delta/change-feed.ts'
import { commit } from '../../../shared/delta/commit.ts'
import { inlineDeletionVector } from '../../../shared/delta/deletion-vector.ts'
import { readSnapshot } from '../../../shared/delta/snapshot.ts'
import type { TableChange, TableSnapshot } from '../../../shared/delta/table.ts'
import { openEngine } from '../../../shared/load/engine.ts'
import { changeFeedSql } from '../../../shared/load/read-change-feed.ts'
import { diskStorage } from '../../../shared/storage/disk.ts'
import { committed, dataFile, emptyTable, shopSchema, testPorts } from '../../support/delta.ts'
import { temporaryFolder } from '../../support/temporary-folder.ts'

const { folder, remove } = await temporaryFolder()
const engine = await openEngine({ scratch: join(folder, 'scratch') })
const storage = diskStorage(folder)
const ports = testPorts(storage)
const properties = { 'delta.enableChangeDataFeed': 'true', 'delta.enableDeletionVectors': 'true' }

afterAll(async () => {
  engine.close()
  await remove()
})

const write = async (table: TableSnapshot, change: Partial<TableChange>) =>
  committed(await commit(table, { operation: 'WRITE', reads: 'table', ...change }, ports))

async function feed(root: string, from: number, to?: number): Promise<string[]> {
  return engine.session(async (session) => {
    const sql = await changeFeedSql(session, storage, root, from, to)
    const rows = await session.rows(`select * from (${sql}) order by "_commit_version", id, "_change_type" desc`)
    return rows.map((row) => `${row._commit_version} ${row._change_type} ${row.id} ${row.name}`)
  })
}

test('files added, removed and given another deletion vector are changes by themselves', async () => {
  let table = await emptyTable(ports, { root: 'plain', properties })
  const rows = [1, 2, 3].map((id) => ({ id, name: `n${id}` }))
  table = await write(table, { add: [await dataFile(table, rows, ports)] })
  const [file] = [...table.files.values()]
  const [one, two] = [[0], [1]].map((deleted) => ({ ...file!, deletionVector: inlineDeletionVector(deleted) }))
  table = await write(table, { remove: [file!], add: [one!] })
  table = await write(table, { remove: [one!], add: [two!] })
  table = await write(table, {
    operation: 'OPTIMIZE',
    remove: [two!],
    add: [await dataFile(table, [rows[0]!, rows[2]!], ports)],
    reads: 'files',
  })
  await write(table, { remove: [...table.files.values()] })

  expect(await feed('plain', 0)).toEqual([
    '1 insert 1 n1',
    '1 insert 2 n2',
    '1 insert 3 n3',
    '2 delete 1 n1',
    '3 insert 1 n1',
    '3 delete 2 n2',
    '5 delete 1 n1',
    '5 delete 3 n3',
  ])
  expect(await feed('plain', 2, 2)).toEqual(['2 delete 1 n1'])
  expect(await feed('plain', 4, 4)).toEqual([])
})

test('a version with change files is read from those alone', async () => {
  const table = await emptyTable(ports, { root: 'files', properties })
  const withType = { ...table, schema: { fields: [...shopSchema.fields, changeTypeField] } }
  const changes = [
    { id: 1, name: 'old', _change_type: 'update_preimage' },
    { id: 1, name: 'new', _change_type: 'update_postimage' },
  ]
  const written = await dataFile(withType, changes, ports)
  const name = `${CHANGE_DATA_FOLDER}cdc 1.parquet`
  await storage.put(`files/${name}`, (await storage.get(`files/${written.path}`))!)
  const cdc = [cdcFile(name, { sizeBytes: written.size })]

  await write(table, { operation: 'MERGE', add: [await dataFile(table, [{ id: 1, name: 'new' }], ports)], cdc })

  expect(await feed('files', 1)).toEqual(['1 update_preimage 1 old', '1 update_postimage 1 new'])
  expect((await readSnapshot(storage, 'files'))!.files.size).toBe(1)
  expect(hasChangeFeed(table.metadata)).toBe(true)
})

test('versions without the feed are refused', async () => {
  const table = await emptyTable(ports, { root: 'without' })
  await write(table, {})

  await expect(feed('without', 0)).rejects.toThrow('had no change data feed at version 0')
  expect(await engine.session((session) => changeFeedSql(session, storage, 'no table', 0))).toBeUndefined()
})
