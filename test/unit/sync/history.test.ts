import { afterAll, expect, test } from '@jest/globals'
import { remove, upsert } from '../../../shared/core/change.ts'
import { openEngine } from '../../../shared/load/engine.ts'
import { column } from '../../support/delta.ts'
import { destinationRows, newWorld, resolved, runShop, type World } from '../../support/sync-world.ts'
import { temporaryFolder } from '../../support/temporary-folder.ts'

const temporary = await temporaryFolder()
const engine = await openEngine({ scratch: temporary.folder, threads: 1 })
afterAll(async () => {
  engine.close()
  await temporary.remove()
})

const schema = { fields: [column('id'), column('name', 'string')] }
const options = { engine: async () => engine }
const versions = async (world: World, table: Parameters<typeof destinationRows>[1]) =>
  (await destinationRows(world, table))
    .map((row) => [Number(row.id), row.name, row.__END_AT === null ? 'open' : 'closed'])
    .sort((a, b) => String(a).localeCompare(String(b)))

test('a history begins with the copied rows and goes on with their changes', async () => {
  const world = newWorld()
  const table = world.source.table('orders', schema)
  table.history.push([upsert({ id: 1, name: 'a' }), upsert({ id: 2, name: 'b' })])
  const orders = resolved(world.source, 'orders', { mode: 'cdc', scdType: 'SCD_TYPE_2' })
  await runShop(world, [orders], options)

  table.history.push([upsert({ id: 1, name: 'A' }), remove({ id: 2 })])
  const run = await runShop(world, [orders], options)

  expect(run.streams).toMatchObject([{ state: 'COMPLETED' }])
  expect(await versions(world, orders)).toEqual([
    [1, 'a', 'closed'],
    [1, 'A', 'open'],
    [2, 'b', 'closed'],
  ])
})

test('a history outlives a full refresh, which ends what is gone and leaves what is the same', async () => {
  const world = newWorld()
  const table = world.source.table('orders', schema)
  table.history.push([upsert({ id: 1, name: 'a' }), upsert({ id: 2, name: 'b' }), upsert({ id: 3, name: 'c' })])
  const orders = resolved(world.source, 'orders', { mode: 'snapshot', scdType: 'SCD_TYPE_2' })
  await runShop(world, [orders], options)
  table.history.push([upsert({ id: 1, name: 'A' }), remove({ id: 2 })])

  await runShop(world, [orders], { ...options, fullRefresh: 'all' })

  expect(await versions(world, orders)).toEqual([
    [1, 'a', 'closed'],
    [1, 'A', 'open'],
    [2, 'b', 'closed'],
    [3, 'c', 'open'],
  ])
})

test('a whole read that lacks most rows is not believed, until a full refresh is asked for', async () => {
  const world = newWorld()
  const table = world.source.table('orders', schema)
  table.history.push([1, 2, 3, 4, 5].map((id) => upsert({ id, name: 'x' })))
  const orders = resolved(world.source, 'orders', { mode: 'snapshot' })
  await runShop(world, [orders])
  table.history.push([1, 2, 3, 4].map((id) => remove({ id })))

  const refused = await runShop(world, [orders])
  const rowsAfter = await destinationRows(world, orders)
  const asked = await runShop(world, [orders], { fullRefresh: 'all' })

  expect(refused.streams).toMatchObject([{ state: 'FAILED', error: { code: 'source.shrunk', remedy: 'fix' } }])
  expect(rowsAfter.length).toBe(5)
  expect(asked.streams).toMatchObject([{ state: 'COMPLETED' }])
  expect((await destinationRows(world, orders)).length).toBe(1)
})

test('keys are compared when the interval has passed, and what the source has not is deleted', async () => {
  const world = newWorld()
  const table = world.source.table('orders', schema)
  table.history.push([1, 2, 3].map((id) => upsert({ id, name: 'x' })))
  const hardDeletionIntervalMs = 3_600_000
  const orders = resolved(world.source, 'orders', { mode: 'query', scdType: 'SCD_TYPE_1', hardDeletionIntervalMs })
  await runShop(world, [orders], options)
  table.history.push([remove({ id: 2 }), upsert({ id: 3, name: 'y' })])

  await runShop(world, [orders], options)
  const before = await destinationRows(world, orders)
  await world.clock.sleep(hardDeletionIntervalMs)
  await runShop(world, [orders], options)
  const after = await destinationRows(world, orders)

  expect(before.map((row) => [Number(row.id), row.name])).toEqual([
    [1, 'x'],
    [2, 'x'],
    [3, 'y'],
  ])
  expect(after.map((row) => Number(row.id))).toEqual([1, 3])
})
