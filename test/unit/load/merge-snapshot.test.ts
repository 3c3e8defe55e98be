import { afterAll, beforeEach, expect, test } from '@jest/globals'
import { systemClock } from '../../../shared/core/clock.ts'
import { openEngine } from '../../../shared/load/engine.ts'
import { historySchema } from '../../../shared/load/history-columns.ts'
import { memoryStorage } from '../../../shared/storage/memory.ts'
import { type MergeTable, mergeTable, put, schemaOf } from '../../support/merge-table.ts'
import { temporaryFolder } from '../../support/temporary-folder.ts'

const { folder, remove } = await temporaryFolder()
const engine = await openEngine({ scratch: `${folder}/scratch`, threads: 1 })
// Not on a disk of this machine: files are downloaded, as from S3.
const ports = { storage: memoryStorage(), engine, clock: systemClock }
afterAll(async () => {
  engine.close()
  await remove()
})

const spec = { mode: 'SCD_TYPE_1' as const, keys: ['id'], sequenceBy: [], staged: 'snapshot' as const }
const schema = schemaOf({ id: 'long', name: 'string' })
let made = 0
let table: MergeTable
beforeEach(async () => {
  table = await mergeTable(`t${made++}`, schema, ports)
  const rows = [1, 2, 3, 4].map((id) => put({ id, name: `n${id}` }))
  await table.apply(rows, spec)
})

test('a key that a snapshot does not have was deleted, and a row that did not change is no change', async () => {
  const { counts } = await table.apply(
    [put({ id: 1, name: 'n1' }), put({ id: 2, name: 'N2' }), put({ id: 3, name: 'n3' })],
    spec,
  )

  expect((await table.rows('id')).map((row) => row.name)).toEqual(['n1', 'N2', 'n3'])
  expect(counts).toMatchObject({ rowsRemoved: 2, rowsAdded: 1 })
})

test('a snapshot equal to the table changes no file', async () => {
  const { change } = await table.merge([[1, 2, 3, 4].map((id) => put({ id, name: `n${id}` }))], spec)

  expect(change).toMatchObject({ add: [], remove: [] })
})

test('a snapshot that lacks most of the table deletes nothing and asks', async () => {
  const merging = table.merge([[put({ id: 1, name: 'n1' })]], spec)

  await expect(merging).rejects.toMatchObject({
    code: 'source.shrunk',
    message: expect.stringContaining('lacks 3 of the 4 rows'),
  })
})

test('keys alone find the deletes and change nothing else', async () => {
  await table.apply([put({ id: 1 }), put({ id: 3 })], { ...spec, staged: 'keys' })

  expect(await table.rows('id')).toEqual([
    { id: 1, name: 'n1' },
    { id: 3, name: 'n3' },
  ])
})

test('a sweep closes versions of a history, after their start', async () => {
  const history = await mergeTable(`t${made++}`, historySchema(schemaOf({ id: 'long', at: 'long' }), ['at']), ports)
  const changes = { mode: 'SCD_TYPE_2' as const, keys: ['id'], sequenceBy: ['at'] }
  await history.apply([put({ id: 1, at: 5 }), put({ id: 2, at: 6 })], changes)

  await history.apply([put({ id: 2 })], { ...changes, staged: 'keys' })

  expect((await history.rows('id')).map((row) => [row.id, row.__START_AT, row.__END_AT])).toEqual([
    [1, 5, 6],
    [2, 6, null],
  ])
})
