import { afterAll, expect, test } from '@jest/globals'
import { systemClock } from '../../../shared/core/clock.ts'
import { openEngine } from '../../../shared/load/engine.ts'
import { historySchema } from '../../../shared/load/history-columns.ts'
import { readTableSql } from '../../../shared/load/read-table.ts'
import { diskStorage } from '../../../shared/storage/disk.ts'
import { emptyTable, testPorts } from '../../support/delta.ts'
import { gone, type MergeTable, mergeTable, put, schemaOf } from '../../support/merge-table.ts'
import { temporaryFolder } from '../../support/temporary-folder.ts'

const { folder, remove } = await temporaryFolder()
const engine = await openEngine({ scratch: `${folder}/scratch`, threads: 1 })
const storage = diskStorage(`${folder}/lakehouse`)
afterAll(async () => {
  engine.close()
  await remove()
})

const columns = schemaOf({ id: 'long', day: 'date', name: 'string' })
const spec = { mode: 'SCD_TYPE_1' as const, keys: ['id'], sequenceBy: [] }
const [monday, tuesday] = ['2026-01-05', '2026-01-06']

async function partitioned(root: string, { schema = columns, properties = {} } = {}): Promise<MergeTable> {
  await emptyTable(testPorts(storage), { root, schema, partitionColumns: ['day'], properties })
  return mergeTable(root, schema, { storage, engine, clock: systemClock })
}

/** Rows as another reader of the table sees them. */
const rowsOf = async (table: MergeTable) => {
  const snapshot = await table.snapshot()
  const rows = await engine.session(async (session) =>
    session.rows(
      `select id::integer id, day::varchar as day, name from (${await readTableSql(session, storage, snapshot)}) order by id`,
    ),
  )
  return rows.map(({ id, day, name }) => [id, day, name])
}

test('only the partitions that changes touch are written again, and each file is of one partition', async () => {
  const table = await partitioned('days')
  await table.apply(
    [
      put({ id: 1, day: monday, name: 'a' }),
      put({ id: 2, day: tuesday, name: 'b' }),
      put({ id: 3, day: tuesday, name: 'c' }),
      put({ id: 4, day: null, name: 'd' }),
    ],
    spec,
  )
  const before = await table.snapshot()

  const { change, counts } = await table.apply([put({ id: 2, day: tuesday, name: 'B' }), gone({ id: 3 })], spec)

  expect([...before.files.values()].map(({ partitionValues }) => partitionValues.day).sort()).toEqual([
    monday,
    tuesday,
    null,
  ])
  expect((change.remove ?? []).map(({ partitionValues }) => partitionValues)).toEqual([{ day: tuesday }])
  expect((change.add ?? []).map(({ partitionValues }) => partitionValues)).toEqual([{ day: tuesday }])
  expect(counts).toMatchObject({ rowsRemoved: 2, rowsAdded: 1 })
  expect(await rowsOf(table)).toEqual([
    [1, monday, 'a'],
    [2, tuesday, 'B'],
    [4, null, 'd'],
  ])
})

test.each(['false', 'true'])('a row moves from one partition to another: deletion vectors %s', async (vectors) => {
  const table = await partitioned(`moved-${vectors}`, { properties: { 'delta.enableDeletionVectors': vectors } })
  await table.apply([put({ id: 1, day: monday, name: 'a' }), put({ id: 2, day: monday, name: 'b' })], spec)

  await table.apply([put({ id: 1, day: tuesday, name: 'a' }), put({ id: 3, day: null, name: 'c' })], spec)
  await table.apply([put({ id: 3, day: monday, name: 'c' })], spec)

  expect(await rowsOf(table)).toEqual([
    [1, tuesday, 'a'],
    [2, monday, 'b'],
    [3, monday, 'c'],
  ])
})

test('a history is kept in partitions as well', async () => {
  const schema = historySchema(schemaOf({ id: 'long', day: 'date', name: 'string', seq: 'long' }), ['seq'])
  const table = await partitioned('history', { schema })
  const history = { mode: 'SCD_TYPE_2' as const, keys: ['id'], sequenceBy: ['seq'] }
  await table.apply([put({ id: 1, day: monday, name: 'a', seq: 1 })], history)

  await table.apply([put({ id: 1, day: tuesday, name: 'a', seq: 5 })], history)
  await table.apply([put({ id: 1, day: monday, name: 'late', seq: 3 })], history)

  const versions = await table.rows('id', '__START_AT')
  expect(versions.map((row) => [row.name, row.__START_AT, row.__END_AT])).toEqual([
    ['a', 1, 3],
    ['late', 3, 5],
    ['a', 5, null],
  ])
})

test('a partitioned table with a change data feed is refused by name', async () => {
  const table = await partitioned('feed', { properties: { 'delta.enableChangeDataFeed': 'true' } })

  await expect(table.apply([put({ id: 1, day: monday, name: 'a' })], spec)).rejects.toMatchObject({
    code: 'table.unsupported_feature',
  })
})
