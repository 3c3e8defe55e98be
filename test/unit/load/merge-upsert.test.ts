import { afterAll, beforeEach, expect, test } from '@jest/globals'
import { systemClock } from '../../../shared/core/clock.ts'
import { openEngine } from '../../../shared/load/engine.ts'
import { diskStorage } from '../../../shared/storage/disk.ts'
import { gone, type MergeTable, mergeTable, put, schemaOf } from '../../support/merge-table.ts'
import { temporaryFolder } from '../../support/temporary-folder.ts'

const { folder, remove } = await temporaryFolder()
const engine = await openEngine({ scratch: `${folder}/scratch`, threads: 1 })
const storage = diskStorage(`${folder}/lakehouse`)
afterAll(async () => {
  engine.close()
  await remove()
})

const spec = { mode: 'SCD_TYPE_1' as const, keys: ['id'], sequenceBy: [] }
let made = 0
let table: MergeTable
beforeEach(async () => {
  table = await mergeTable(`t${made++}`, schemaOf({ id: 'long', name: 'string', at: 'long' }), {
    storage,
    engine,
    clock: systemClock,
  })
})

test('rows are inserted, updated and deleted by key', async () => {
  await table.apply([put({ id: 1, name: 'a' }), put({ id: 2, name: 'b' }), put({ id: 3, name: 'c' })], spec)

  const { counts } = await table.apply([put({ id: 2, name: 'B' }), gone({ id: 3 }), put({ id: 4, name: 'd' })], spec)

  expect(await table.rows('id')).toEqual([
    { id: 1, name: 'a', at: null },
    { id: 2, name: 'B', at: null },
    { id: 4, name: 'd', at: null },
  ])
  expect(counts).toMatchObject({ rowsRemoved: 2, rowsAdded: 2, rejected: 0 })
})

test('the last change of a key in arrival order wins, over files as well', async () => {
  const { change } = await table.merge(
    [
      [put({ id: 1, name: 'a' }), gone({ id: 1 }), put({ id: 2, name: 'x' })],
      [put({ id: 1, name: 'b' }), gone({ id: 2 })],
    ],
    spec,
  )

  expect(change.add?.map((file) => JSON.parse(file.stats!))).toMatchObject([
    { numRecords: 1, minValues: { id: 1, name: 'b' }, maxValues: { id: 1, name: 'b' }, nullCount: { id: 0, at: 1 } },
  ])
})

test('a file that holds none of the keys is not touched', async () => {
  await table.apply([put({ id: 1 }), put({ id: 5 })], spec)
  await table.apply([put({ id: 10 }), put({ id: 15 })], spec)
  const before = await table.snapshot()

  const result = await table.merge([[put({ id: 3, name: 'between' }), put({ id: 10, name: 'there' })]], spec)

  const changed = [...before.files.values()].filter((file) => JSON.parse(file.stats!).minValues.id === 10)
  expect(result.change.remove).toEqual(changed)
})

test('the highest sequence wins whatever the arrival order', async () => {
  const sequenced = { ...spec, sequenceBy: ['at'] }
  await table.apply(
    [put({ id: 1, name: 'new', at: 7 }), put({ id: 1, name: 'old', at: 5 }), put({ id: 2, name: 'x', at: 1 })],
    sequenced,
  )

  await table.apply([put({ id: 1, name: 'late', at: 6 }), put({ id: 2, name: 'y', at: 2 })], sequenced)

  expect(await table.rows('id')).toEqual([
    { id: 1, name: 'new', at: 7 },
    { id: 2, name: 'y', at: 2 },
  ])
})

test('a deleted row does not come back by an older change that arrives late', async () => {
  const sequenced = { ...spec, sequenceBy: ['at'] }
  await table.apply([put({ id: 1, at: 5 }), gone({ id: 1, at: 7 }), gone({ id: 2, at: 4 })], sequenced)

  await table.apply([put({ id: 1, at: 6 }), put({ id: 2, at: 3 }), put({ id: 3, at: 1 })], sequenced)
  await table.apply([put({ id: 2, at: 9 })], sequenced)

  expect(await table.rows('id')).toEqual([
    { id: 2, name: null, at: 9 },
    { id: 3, name: null, at: 1 },
  ])
})

test('a delete without a sequence comes right after what arrived before it', async () => {
  const sequenced = { ...spec, sequenceBy: ['at'] }
  await table.apply([put({ id: 1, at: 5 })], sequenced)

  await table.apply([gone({ id: 1 }), put({ id: 2, at: 3 }), gone({ id: 2 })], sequenced)
  await table.apply([put({ id: 1, at: 4 }), put({ id: 2, at: 2 })], sequenced)

  expect(await table.rows('id')).toEqual([])
})

test('a sequence of several columns is compared left to right', async () => {
  const sequenced = { ...spec, sequenceBy: ['at', 'name'] }
  await table.apply([put({ id: 1, at: 5, name: 'b' }), put({ id: 2, at: 5, name: 'b' })], sequenced)

  await table.apply([put({ id: 1, at: 5, name: 'a' }), put({ id: 2, at: 6, name: 'a' })], sequenced)

  expect(await table.rows('id')).toEqual([
    { id: 1, name: 'b', at: 5 },
    { id: 2, name: 'a', at: 6 },
  ])
})

test('a column that a change does not carry keeps its old value', async () => {
  await table.apply(
    [put({ id: 1, name: 'a', at: 1 }), put({ id: 2, name: 'b', at: 1 }), put({ id: 3, name: 'c' })],
    spec,
  )

  await table.apply(
    [
      put({ id: 1, at: 2 }, ['name']),
      put({ id: 2, name: null, at: 2 }),
      put({ id: 3, at: 7 }, ['NAME']),
      put({ id: 3 }, ['at']),
      gone({ id: 4 }),
      put({ id: 4, at: 4 }, ['name']),
    ],
    spec,
  )

  expect(await table.rows('id')).toEqual([
    { id: 1, name: 'a', at: 2 },
    { id: 2, name: null, at: 2 },
    { id: 3, name: null, at: 7 },
    { id: 4, name: null, at: 4 },
  ])
})

test('a column that a change did not carry is filled in when the row it was in comes late', async () => {
  const sequenced = { ...spec, sequenceBy: ['at'] }
  await table.apply([put({ id: 1, at: 5 }, ['name']), put({ id: 2, name: 'b', at: 2 })], sequenced)
  await table.apply([put({ id: 1, name: 'a', at: 3 }), put({ id: 2, at: 5 }, ['name'])], sequenced)

  await table.apply([put({ id: 1, name: 'older', at: 2 }), put({ id: 2, name: 'late', at: 3 })], sequenced)

  expect(await table.rows('id')).toEqual([
    { id: 1, name: 'a', at: 5 },
    { id: 2, name: 'late', at: 5 },
  ])
})

test('a change without a key or a sequence is rejected and counted', async () => {
  const { counts, rejected } = await table.apply([put({ id: null, at: 1 }), put({ id: 1 }), put({ id: 2, at: 3 })], {
    ...spec,
    sequenceBy: ['at'],
  })

  expect(counts.rejected).toBe(2)
  expect(rejected.map(({ rejection, payload }) => [rejection.column, payload])).toEqual([
    ['id', { id: null, name: null, at: 1n }],
    ['at', { id: 1n, name: null, at: null }],
  ])
  expect(await table.rows('id')).toEqual([{ id: 2, name: null, at: 3 }])
})

test('a table that loses all of its rows has no file', async () => {
  await table.apply([put({ id: 1 })], spec)

  await table.apply([gone({ id: 1 })], spec)

  expect((await table.snapshot()).files.size).toBe(0)
})

test('a key that is not a column is refused with the columns there are', async () => {
  await expect(table.merge([[]], { ...spec, keys: ['idd'] })).rejects.toMatchObject({
    code: 'config.invalid',
    message: expect.stringContaining('it has id, name, at'),
  })
})
