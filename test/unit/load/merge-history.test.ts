import { afterAll, expect, test } from '@jest/globals'
import { systemClock } from '../../../shared/core/clock.ts'
import { openEngine } from '../../../shared/load/engine.ts'
import { historySchema } from '../../../shared/load/history-columns.ts'
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

let made = 0
const historyTable = (types: Record<string, string>, sequenceBy: string[]) =>
  mergeTable(`t${made++}`, historySchema(schemaOf(types), sequenceBy), { storage, engine, clock: systemClock })

const versions = (rows: Record<string, unknown>[], name: string) =>
  rows.map((row) => [row.id, row[name], row.__START_AT, row.__END_AT])

test("the reference's example of SCD type 2 comes out as published", async () => {
  const table = await historyTable({ id: 'long', city: 'string', seq: 'long' }, ['seq'])

  await table.apply(
    [
      put({ id: 124, city: 'Oaxaca', seq: 1 }),
      put({ id: 123, city: 'Monterrey', seq: 1 }),
      put({ id: 125, city: 'Tijuana', seq: 2 }),
      put({ id: 126, city: 'Cancun', seq: 2 }),
      gone({ id: 123, seq: 6 }),
      put({ id: 125, city: 'Guadalajara', seq: 6 }),
      put({ id: 125, city: 'Mexicali', seq: 5 }),
      put({ id: 123, city: 'Chihuahua', seq: 5 }),
    ],
    { mode: 'SCD_TYPE_2', keys: ['id'], sequenceBy: ['seq'] },
  )

  expect(versions(await table.rows('id', '__START_AT'), 'city')).toEqual([
    [123, 'Monterrey', 1, 5],
    [123, 'Chihuahua', 5, 6],
    [124, 'Oaxaca', 1, null],
    [125, 'Tijuana', 2, 5],
    [125, 'Mexicali', 5, 6],
    [125, 'Guadalajara', 6, null],
    [126, 'Cancun', 2, null],
  ])
})

test('a row that was deleted and comes again is there, also when a copy had it before its changes came', async () => {
  const spec = { mode: 'SCD_TYPE_2' as const, keys: ['id'], sequenceBy: ['at'] }
  const table = await historyTable({ id: 'long', name: 'string', at: 'timestamp' }, ['at'])
  const [first, last] = ['2026-01-01T00:00:00.000Z', '2026-01-02T00:00:00.000Z']
  await table.apply([put({ id: 1, name: 'new', at: last })], spec)

  // A delete of a changefeed has the key alone.
  await table.apply(
    [put({ id: 1, name: 'old', at: first }), gone({ id: 1 }), put({ id: 1, name: 'new', at: last })],
    spec,
  )

  expect(versions(await table.rows('id', '__START_AT'), 'name')).toEqual([
    [1, 'old', first, last],
    [1, 'new', last, null],
  ])
})

test('a row that comes again after a delete without a sequence is there, though its time is before the commit of the delete', async () => {
  const spec = { mode: 'SCD_TYPE_2' as const, keys: ['id'], sequenceBy: ['at'] }
  const table = await historyTable({ id: 'long', name: 'string', at: 'timestamp' }, ['at'])
  const [first, last] = ['2026-01-01T00:00:00.000Z', '2026-01-02T00:00:00.000Z']
  await table.apply([put({ id: 1, name: 'old', at: first }), put({ id: 2, name: 'old', at: first })], spec)
  await table.apply([gone({ id: 1 }), gone({ id: 2, at: '2026-01-03T00:00:00.000Z' })], spec)

  await table.apply([put({ id: 1, name: 'new', at: last }), put({ id: 2, name: 'late', at: last })], spec)

  expect(versions(await table.rows('id', '__START_AT'), 'name')).toEqual([
    [1, 'old', first, last],
    [1, 'new', last, null],
    [2, 'old', first, last],
    [2, 'late', last, '2026-01-03T00:00:00.000Z'],
  ])
})

test('a late change splits a run of equal versions, also when each change comes by itself', async () => {
  const spec = { mode: 'SCD_TYPE_2' as const, keys: ['id'], sequenceBy: ['seq'] }
  const table = await historyTable({ id: 'long', name: 'string', seq: 'long' }, ['seq'])
  for (const [name, seq] of [
    ['Alice', 5],
    ['Alice', 10],
    ['Alice', 15],
    ['Charlie', 20],
  ] as const) {
    await table.apply([put({ id: 1, name, seq })], spec)
  }
  expect(versions(await table.rows('__START_AT'), 'name')).toEqual([
    [1, 'Alice', 5, 20],
    [1, 'Charlie', 20, null],
  ])

  await table.apply([put({ id: 1, name: 'Bob', seq: 12 })], spec)

  expect(versions(await table.rows('__START_AT'), 'name')).toEqual([
    [1, 'Alice', 5, 12],
    [1, 'Bob', 12, 15],
    [1, 'Alice', 15, 20],
    [1, 'Charlie', 20, null],
  ])
  expect((await table.rows('__START_AT')).map((row) => row.seq)).toEqual([10, 12, 15, 20])
})

test('a delete that comes before its row ends the row when it comes', async () => {
  const spec = { mode: 'SCD_TYPE_2' as const, keys: ['id'], sequenceBy: ['seq'] }
  const table = await historyTable({ id: 'long', name: 'string', seq: 'long' }, ['seq'])

  await table.apply([gone({ id: 1, seq: 8 })], spec)
  expect(await table.rows('id')).toEqual([])
  await table.apply([put({ id: 1, name: 'a', seq: 3 })], spec)

  expect(versions(await table.rows('id'), 'name')).toEqual([[1, 'a', 3, 8]])
})

test('without a sequence, changes hold from their arrival, one after the other', async () => {
  const spec = { mode: 'SCD_TYPE_2' as const, keys: ['id'], sequenceBy: [] }
  const table = await historyTable({ id: 'long', name: 'string' }, [])
  await table.apply([put({ id: 1, name: 'a' }), put({ id: 1, name: 'b' })], spec)

  await table.apply([put({ id: 1, name: 'b' }), gone({ id: 1 }), put({ id: 1, name: 'c' })], spec)

  const rows = await table.rows('__START_AT')
  expect(rows.map((row) => row.name)).toEqual(['a', 'b', 'c'])
  expect(rows[0]!.__END_AT).toEqual(rows[1]!.__START_AT)
  expect(rows[1]!.__END_AT).not.toBeNull()
  expect(rows[2]!.__END_AT).toBeNull()
})

test('a repeated change changes nothing, not even a file', async () => {
  const spec = { mode: 'SCD_TYPE_2' as const, keys: ['id'], sequenceBy: ['seq'] }
  const table = await historyTable({ id: 'long', name: 'string', seq: 'long' }, ['seq'])
  const changes = [put({ id: 1, name: 'a', seq: 1 }), put({ id: 1, name: 'b', seq: 2 }), gone({ id: 1, seq: 4 })]
  await table.apply(changes, spec)

  const { change } = await table.merge([changes], spec)

  expect(change).toMatchObject({ add: [], remove: [] })
})

test('a column that a change does not carry keeps its value, version by version', async () => {
  const spec = { mode: 'SCD_TYPE_2' as const, keys: ['id'], sequenceBy: ['seq'] }
  const table = await historyTable({ id: 'long', name: 'string', big: 'string', seq: 'long' }, ['seq'])
  await table.apply([put({ id: 1, name: 'a', big: 'x', seq: 1 })], spec)
  await table.apply([put({ id: 1, name: 'b', seq: 5 }, ['big']), put({ id: 1, name: 'c', seq: 7 }, ['big'])], spec)

  await table.apply([put({ id: 1, name: 'late', big: 'y', seq: 3 })], spec)

  expect((await table.rows('__START_AT')).map((row) => [row.name, row.big])).toEqual([
    ['a', 'x'],
    ['late', 'y'],
    ['b', 'y'],
    ['c', 'y'],
  ])
})

test('a table without history columns is refused', async () => {
  const table = await mergeTable(`t${made++}`, schemaOf({ id: 'long' }), { storage, engine, clock: systemClock })

  await expect(table.merge([[]], { mode: 'SCD_TYPE_2', keys: ['id'], sequenceBy: [] })).rejects.toMatchObject({
    code: 'config.invalid',
  })
})
