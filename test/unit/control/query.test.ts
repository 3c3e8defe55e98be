import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { listTables } from '../../../shared/control/lakehouse.ts'
import { query } from '../../../shared/control/query.ts'
import { systemClock } from '../../../shared/core/clock.ts'
import { type Engine, openEngine } from '../../../shared/load/engine.ts'
import type { MergeSpec } from '../../../shared/load/merge.ts'
import { diskStorage } from '../../../shared/storage/disk.ts'
import type { Storage } from '../../../shared/storage/storage.ts'
import { mergeTable, put, schemaOf } from '../../support/merge-table.ts'
import { temporaryFolder } from '../../support/temporary-folder.ts'

let storage: Storage
let engine: Engine
let scratch: string
let afterFirst: number
let remove: () => Promise<void>

beforeAll(async () => {
  const place = await temporaryFolder()
  remove = place.remove
  storage = diskStorage(join(place.folder, 'lake'))
  scratch = join(place.folder, 'scratch')
  engine = await openEngine({ scratch, threads: 1 })
  const ports = { storage, engine, clock: systemClock }
  const types = { id: 'long', total: 'decimal(10,2)', name: 'string' }
  const spec: MergeSpec = { mode: 'SCD_TYPE_1', keys: ['id'], sequenceBy: [] }
  const orders = await mergeTable('main/shop/orders', schemaOf(types), ports)
  await orders.apply([put({ id: 1, total: '1.50', name: 'a' })], spec)
  await new Promise((done) => setTimeout(done, 20))
  afterFirst = Date.now()
  await new Promise((done) => setTimeout(done, 20))
  await orders.apply([put({ id: 2, total: '2.50', name: 'b' })], spec)
  const items = await mergeTable('other/Sales/Items', schemaOf({ id: 'long' }), ports)
  await items.apply([put({ id: 9 })], spec)
})

afterAll(async () => {
  engine.close()
  await remove()
})

const rows = (sql: string) =>
  query({ storage, scratch }, sql, async ({ batches }) => {
    const all: unknown[][] = []
    for await (const batch of batches) all.push(...batch)
    return all
  })

test('tables are listed, and nothing else of the storage is', async () => {
  await storage.put('main/shop/no-table/file.txt', new Uint8Array(1))

  expect(await listTables(storage)).toEqual([
    { catalog: 'main', schema: 'shop', table: 'orders' },
    { catalog: 'other', schema: 'Sales', table: 'Items' },
  ])
  expect(await rows('show tables;')).toEqual([
    ['main', 'shop', 'orders'],
    ['other', 'Sales', 'Items'],
  ])
})

test.each([
  [
    'select * from main.shop.orders order by id',
    [
      [1, '1.50', 'a'],
      [2, '2.50', 'b'],
    ],
  ],
  ['select orders.id from shop.orders where orders.total > 2', [[2]]],
  ['select main.shop.orders.id from main.shop.orders where shop.orders.id = 1', [[1]]],
  [
    'select o.name, i.id from orders o, other.sales.items i order by all',
    [
      ['a', 9],
      ['b', 9],
    ],
  ],
  ['select count(*) from Orders', [[2]]],
  ['with orders as (select 5 as id) select id from orders', [[5]]],
  ['select id from main.shop.orders version as of 1', [[1]]],
  ['select orders.id from shop.orders version as of 1 where orders.id > 0', [[1]]],
  ['select n.id from orders@v2 n anti join orders@v1 o using (id)', [[2]]],
  ['select count(*) from shop.orders version as of 0', [[0]]],
  [
    "select column_name, column_type from (describe shop.orders) where column_name = 'total'",
    [['total', 'DECIMAL(10,2)']],
  ],
  ['select 9007199254740993::bigint, 9007199254740991::bigint', [['9007199254740993', 9007199254740991]]],
])('%s', async (sql, expected) => {
  expect(await rows(sql)).toEqual(expected)
})

test('a table is read as it was at a time', async () => {
  const time = new Date(afterFirst).toISOString()

  expect(await rows(`select id from shop.orders timestamp as of '${time}'`)).toEqual([[1]])
})

test.each([
  ['select * from shop.order', 'table.missing', /no table shop\.order; did you mean main\.shop\.orders\?/],
  ['select * from shop.orders version as of 99', 'table.missing', /99/],
  ["select * from shop.orders timestamp as of 'yesterday'", 'query.invalid', /needs a time/],
  ['selec 1', 'query.invalid', /syntax error/],
  ['select nope from shop.orders', 'query.invalid', /nope/],
  ['select 1; select 2', 'query.invalid', /one statement at a time, got 2/],
  ['create table t (i int)', 'query.invalid', /only reads/],
  ["copy (select 1) to 'x.csv'", 'query.invalid', /disabled by configuration/],
  ["explain analyze copy (select 1) to 'x.csv'", 'query.invalid', /disabled by configuration/],
  ["select * from read_text('/etc/passwd')", 'query.invalid', /disabled by configuration/],
  ["select * from '/etc/passwd'", 'query.invalid', /passwd/],
  ['set enable_external_access = true', 'query.invalid', /only reads/],
  ["attach 'x.db'", 'query.invalid', /only reads/],
])('%s is refused as %s', async (sql, code, message) => {
  await expect(rows(sql)).rejects.toMatchObject({ code, message: expect.stringMatching(message) })
})

test('a large result comes in pieces', async () => {
  const sizes = await query({ storage, scratch }, 'select range from range(10000)', async ({ batches }) => {
    const all: number[] = []
    for await (const batch of batches) all.push(batch.length)
    return all
  })

  expect(sizes.length).toBeGreaterThan(1)
  expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(10000)
})
