import { afterAll, expect, test } from '@jest/globals'
import { systemClock } from '../../../shared/core/clock.ts'
import { openEngine } from '../../../shared/load/engine.ts'
import { literal } from '../../../shared/load/sql.ts'
import { diskStorage } from '../../../shared/storage/disk.ts'
import { gone, mergeTable, put, schemaOf } from '../../support/merge-table.ts'
import { temporaryFolder } from '../../support/temporary-folder.ts'

const { folder, remove } = await temporaryFolder()
const engine = await openEngine({ scratch: `${folder}/scratch`, threads: 1 })
const storage = diskStorage(`${folder}/lakehouse`)
afterAll(async () => {
  engine.close()
  await remove()
})

const spec = { mode: 'SCD_TYPE_1' as const, keys: ['id'], sequenceBy: [] }
const ports = { storage, engine, clock: systemClock }

test('a table with a change data feed says row by row what a commit changed', async () => {
  const properties = { 'delta.enableChangeDataFeed': 'true' }
  const table = await mergeTable('feed', schemaOf({ id: 'long', name: 'string' }), { ...ports, properties })
  const first = await table.apply([put({ id: 1, name: 'a' }), put({ id: 2, name: 'b' })], spec)

  const { change } = await table.apply([put({ id: 1, name: 'A' }), gone({ id: 2 }), put({ id: 3, name: 'c' })], spec)

  expect(first.change.cdc).toEqual([])
  const path = literal(`${folder}/lakehouse/feed/${change.cdc![0]!.path}`)
  const rows = await engine.session((session) =>
    session.rows(`select id::integer id, name, _change_type from read_parquet(${path}) order by id, _change_type desc`),
  )
  expect(rows.map(({ id, name, _change_type }) => [id, name, _change_type])).toEqual([
    [1, 'a', 'update_preimage'],
    [1, 'A', 'update_postimage'],
    [2, 'b', 'delete'],
    [3, 'c', 'insert'],
  ])
})

test('a table with deletion vectors keeps its files and marks their rows', async () => {
  const properties = { 'delta.enableDeletionVectors': 'true' }
  const table = await mergeTable('vectors', schemaOf({ id: 'long', name: 'string' }), { ...ports, properties })
  await table.apply(
    [1, 2, 3, 4].map((id) => put({ id, name: `n${id}` })),
    spec,
  )
  const [file] = [...(await table.snapshot()).files.values()]

  await table.apply([put({ id: 2, name: 'N2' })], spec)
  await table.apply([gone({ id: 4 }), put({ id: 2, name: 'N2!' })], spec)

  const kept = [...(await table.snapshot()).files.values()].find(({ path }) => path === file!.path)!
  expect(kept.deletionVector?.cardinality).toBe(2)
  expect(JSON.parse(kept.stats!)).toMatchObject({ numRecords: 4, tightBounds: false })
  expect(await table.rows('id')).toEqual([
    { id: 1, name: 'n1' },
    { id: 2, name: 'N2!' },
    { id: 3, name: 'n3' },
  ])
})

test('a file whose last row is deleted leaves the table with deletion vectors', async () => {
  const properties = { 'delta.enableDeletionVectors': 'true' }
  const table = await mergeTable('emptied', schemaOf({ id: 'long' }), { ...ports, properties })
  await table.apply([put({ id: 1 }), put({ id: 2 })], spec)

  await table.apply([gone({ id: 1 })], spec)
  await table.apply([gone({ id: 2 })], spec)

  expect((await table.snapshot()).files.size).toBe(0)
})

test('columns of every type come through a merge as they were', async () => {
  const types = {
    id: 'string',
    flag: 'boolean',
    tiny: 'byte',
    price: 'decimal(38,10)',
    ratio: 'double',
    day: 'date',
    at: 'timestamp',
    local: 'timestamp_ntz',
    tags: 'array<string>',
    place: 'struct<city:string,geo:struct<lat:double>>',
    counts: 'map<string,long>',
    at_: 'long',
    low: 'long',
  }
  const row = {
    flag: true,
    tiny: -128,
    price: '1234567890123456789012345678.0123456789',
    ratio: -0.1,
    day: '1969-12-31',
    at: '2024-02-29T23:59:59.123456Z',
    local: '2024-02-29 23:59:59.123456',
    tags: ['a', null, ''],
    place: { city: "it's", geo: { lat: 1.5 } },
    counts: { a: 1, b: 2 },
    at_: 1,
    low: 2,
  }
  const table = await mergeTable('types', schemaOf(types), ports)
  await table.apply([put({ id: 'a', ...row }), put({ id: 'b', ...row }), put({ id: 'é"', ...row })], spec)
  const before = await table.rows('id')

  await table.apply([put({ id: 'b', tiny: 1 }), gone({ id: 'c' })], spec)

  const after = await table.rows('id')
  expect([after[0], after[2]]).toEqual([before[0], before[2]])
  expect(after[1]).toMatchObject({ id: 'b', tiny: 1, price: null, tags: null })
  const [file] = [...(await table.snapshot()).files.values()]
  expect(file!.stats).toContain(`"price":${row.price}`)
})
