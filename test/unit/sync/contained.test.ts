import { afterAll, expect, test } from '@jest/globals'
import { remove, upsert } from '../../../shared/core/change.ts'
import { readSnapshot } from '../../../shared/delta/snapshot.ts'
import { openEngine } from '../../../shared/load/engine.ts'
import { findMissing } from '../../../shared/sync/contained.ts'
import { selectionOf } from '../../../shared/sync/plan.ts'
import { column } from '../../support/delta.ts'
import { scripted } from '../../support/scripted-source.ts'
import { newWorld, resolved, runShop } from '../../support/sync-world.ts'
import { temporaryFolder } from '../../support/temporary-folder.ts'

const temporary = await temporaryFolder()
const engine = await openEngine({ scratch: temporary.folder, threads: 1 })
afterAll(async () => {
  engine.close()
  await temporary.remove()
})

test('a table that is only added to holds every row of the source, whatever else it has; what it lacks is counted', async () => {
  const world = newWorld()
  const source = world.source.table('orders', { fields: [column('id'), column('name', 'string')] })
  const orders = resolved(world.source, 'orders', { mode: 'query', scdType: 'APPEND_ONLY' })
  const missing = async () => {
    const ctx = await scripted.connect(world.source, { clock: world.clock, signal: new AbortController().signal })
    const selection = selectionOf({ ...orders, mode: 'snapshot' }, { owner: 'test', parallelism: 1 })
    const table = (await readSnapshot(world.storage, 'main/shop/orders'))!
    const stream = await scripted.open(ctx, orders.source, selection)
    return findMissing(stream, table, { storage: world.storage, engine }, ['id'])
  }
  source.history.push(Array.from({ length: 3000 }, (_, id) => upsert({ id, name: id % 7 ? `n${id}` : null })))
  await runShop(world, [orders], { engine: async () => engine })
  source.history.push([upsert({ id: 3, name: 'other' }), remove({ id: 4 }), upsert({ id: 5000, name: null })])
  await runShop(world, [orders], { engine: async () => engine })

  expect(await missing()).toEqual({ rows: { source: 3000, table: 3002 }, missing: 0, examples: [] })
  source.history.push([upsert({ id: 3, name: 'n3' }), upsert({ id: 7, name: 'null' }), upsert({ id: 5001, name: '' })])
  expect(await missing()).toMatchObject({ missing: 2, examples: expect.arrayContaining(['id = 7', 'id = 5001']) })
})
