import { join } from 'node:path'
import { afterAll, expect, test } from '@jest/globals'
import { commit } from '../../shared/delta/commit.ts'
import { inlineDeletionVector, writeDeletionVectors } from '../../shared/delta/deletion-vector.ts'
import { addColumns, dropColumn, type Evolution, renameColumn } from '../../shared/delta/evolve.ts'
import { commitPath } from '../../shared/delta/log-files.ts'
import { readSnapshot } from '../../shared/delta/snapshot.ts'
import type { TableChange, TableSnapshot } from '../../shared/delta/table.ts'
import { openEngine } from '../../shared/load/engine.ts'
import { readTableSql } from '../../shared/load/read-table.ts'
import { parseTypeText } from '../../shared/schema/type-text.ts'
import { diskStorage } from '../../shared/storage/disk.ts'
import { column, committed, dataFile, emptyTable, testPorts } from '../support/delta.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { type DeltaRsTable, deltaRsRead, difference } from './delta-rs.ts'

const { folder, remove } = await temporaryFolder()
const engine = await openEngine({ scratch: join(folder, 'scratch') })
const ports = testPorts(diskStorage(folder))

afterAll(async () => {
  engine.close()
  await remove()
})

const typesOf = (text: string) => {
  const type = parseTypeText(text)
  return type.kind === 'struct' ? type.fields : []
}

async function write(table: TableSnapshot, change: Partial<TableChange>): Promise<TableSnapshot> {
  const full: TableChange = { operation: 'WRITE', reads: change.remove ? 'table' : 'nothing', ...change }
  return committed(await commit(table, full, ports))
}

const evolve = (table: TableSnapshot, { schema: _, ...change }: Evolution) => write(table, change)

/** What delta-rs says of the table, once both of us see the same rows. */
async function agreed(table: TableSnapshot): Promise<DeltaRsTable> {
  const out = join(folder, `${table.root}.parquet`)
  const theirs = deltaRsRead(join(folder, table.root), out)
  const fresh = (await readSnapshot(ports.storage, table.root))!
  await engine.session(async (session) => {
    const sql = await readTableSql(session, ports.storage, fresh)
    expect(await difference(session, sql, out)).toEqual([0, 0])
  })
  expect(theirs.version).toBe(fresh.version)
  return theirs
}

const everyType = typesOf(
  'struct<id:long,b:boolean,i8:byte,i16:short,i32:integer,f:float,d:double,s:string,bin:binary,day:date,at:timestamp,' +
    'small:decimal(9,2),big:decimal(38,18),list:array<string>,map:map<string,long>,nested:struct<x:long,y:array<struct<z:string>>>>',
)
const row = (id: number) => ({
  id,
  b: id % 2 === 0,
  i8: -id,
  i16: 300 + id,
  i32: 70_000 * id,
  f: 1.5 * id,
  d: id / 3,
  s: `ünï ${id}`,
  bin: new Uint8Array([id, 255, 0]),
  day: '1969-12-31',
  at: `2026-01-01T00:00:00.12345${id % 10}Z`,
  small: `-${id}.05`,
  big: `12345678901234567890.${String(id).padStart(18, '0')}`,
  list: ['a', null, `${id}`],
  map: { k: id, n: null },
  nested: { x: id, y: [{ z: 'deep' }, null] },
})

test('every type, statistics, transactions and the log checkpoint', async () => {
  let table = await emptyTable(ports, { root: 'types', schema: { fields: everyType } })
  for (let id = 1; id <= 12; id++) {
    const add = [await dataFile(table, [row(id), { id: id + 100 }], ports)]
    table = await write(table, { add, txn: { appId: 'orders', version: id } })
  }

  const theirs = await agreed(table)

  expect(theirs).toMatchObject({ version: 12, rows: 24, readerVersion: 1, transactions: { orders: 12 } })
  const first = theirs.files.find((file) => file['min.id'] === 1)!
  expect(first).toMatchObject({ num_records: 2, 'max.id': 101, 'null_count.id': 0, 'null_count.s': 1 })
  expect(first['min.day']).toBe('1969-12-31')
  expect(first['min.small']).toBe('-1.05')
  await ports.storage.delete(Array.from({ length: 10 }, (_, version) => commitPath('types', version)))
  expect((await agreed(table)).transactions).toEqual({ orders: 12 })
})

test('partition values of every kind', async () => {
  const fields = typesOf('struct<id:long,day:date,at:timestamp,n:decimal(10,2),s:string,b:boolean>')
  const partitionColumns = ['day', 'at', 'n', 's', 'b']
  let table = await emptyTable(ports, { root: 'partitions', schema: { fields }, partitionColumns })
  const values = { day: '2026-01-02', at: '2026-01-01T00:00:00.123456Z', n: '1.50', s: 'a =%/', b: 'true' }
  const nulls = { day: null, at: null, n: null, s: null, b: null }

  table = await write(table, { add: [await dataFile(table, [{ id: 1 }], ports, values)] })
  table = await write(table, { add: [await dataFile(table, [{ id: 2 }], ports, nulls)] })

  expect(await agreed(table)).toMatchObject({ rows: 2 })
})

test('columns added, renamed and dropped', async () => {
  let table = await emptyTable(ports, {
    root: 'evolved',
    schema: { fields: typesOf('struct<id:long,a:string,b:long>') },
  })
  table = await write(table, { add: [await dataFile(table, [{ id: 1, a: 'one', b: 1 }], ports)] })

  table = await evolve(table, addColumns(table, [column('c', 'double')], ports.random)!)
  table = await write(table, { add: [await dataFile(table, [{ id: 2, a: 'two', b: 2, c: 2.5 }], ports)] })
  expect(await agreed(table)).toMatchObject({ rows: 2, readerVersion: 1 })

  table = await evolve(table, renameColumn(table, 'a', 'title'))
  table = await evolve(table, dropColumn(table, 'b'))
  table = await evolve(table, addColumns(table, [column('b', 'string')], ports.random)!)
  table = await write(table, { add: [await dataFile(table, [{ id: 3, title: 'three', c: 3.5, b: 'new' }], ports)] })
  expect(await agreed(table)).toMatchObject({ rows: 3, readerVersion: 2, columns: ['id', 'title', 'c', 'b'] })
})

test.each(['in a file', 'in the log'])('rows deleted by a deletion vector %s', async (where) => {
  const properties = { 'delta.enableDeletionVectors': 'true' }
  const root = where.replaceAll(' ', '-')
  let table = await emptyTable(ports, { root, schema: { fields: typesOf('struct<id:long>') }, properties })
  const rows = Array.from({ length: 100_000 }, (_, id) => ({ id }))
  const file = await dataFile(table, rows, ports)
  table = await write(table, { add: [file] })
  // A list, a bitmap and the second container.
  const deleted = [[3, 4, 7, 70_000], Array.from({ length: 30_000 }, (_, index) => index * 3)]

  for (const set of deleted) {
    const [current] = [...table.files.values()]
    const [deletionVector] =
      where === 'in a file'
        ? await writeDeletionVectors(ports.storage, root, [set], ports.random)
        : [inlineDeletionVector(set)]
    table = await write(table, {
      operation: 'DELETE',
      remove: [current!],
      add: [{ ...current!, deletionVector: deletionVector! }],
    })
    expect(await agreed(table)).toMatchObject({ rows: 100_000 - set.length, readerVersion: 3 })
  }
})
