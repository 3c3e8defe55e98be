import { afterAll, expect, test } from '@jest/globals'
import { remove, upsert } from '../../shared/core/change.ts'
import { readSnapshot } from '../../shared/delta/snapshot.ts'
import { openEngine } from '../../shared/load/engine.ts'
import { everyCrashPoint } from '../support/crash.ts'
import { column } from '../support/delta.ts'
import { faultyState } from '../support/faulty-state.ts'
import { faultyStorage } from '../support/faulty-storage.ts'
import { tableRows } from '../support/read-table.ts'
import { ScriptedSource } from '../support/scripted-source.ts'
import { newWorld, resolved, runShop } from '../support/sync-world.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const temporary = await temporaryFolder()
const engine = await openEngine({ scratch: temporary.folder, threads: 1 })
afterAll(async () => {
  engine.close()
  await temporary.remove()
})

const root = 'main/shop/orders'
const LEASE_MS = 30_000

test.each(['SCD_TYPE_1', 'SCD_TYPE_2'] as const)(
  'a full refresh of %s that dies at any await shows the old rows, and ends as the source with the next run',
  async (scdType) => {
    const points = await everyCrashPoint(
      async (crash) => {
        const world = newWorld()
        const table = world.source.table('orders', { fields: [column('id'), column('name', 'string')] })
        table.history.push([1, 2, 3, 4].map((id) => upsert({ id, name: 'old' })))
        const orders = resolved(world.source, 'orders', { mode: 'cdc', scdType })
        const options = { engine: async () => engine, settings: { commitIntervalMs: 0, leaseMs: LEASE_MS, pieces: 1 } }
        const open = async () =>
          (await tableRows(world.storage, root))
            .filter((row) => (row.__END_AT ?? null) === null)
            .map(({ id, name }) => [Number(id), name])
            .sort((a, b) => Number(a[0]) - Number(b[0]))
        await runShop(world, [orders], options)
        const [before, { version }] = [await open(), (await readSnapshot(world.storage, root))!]
        let messages = 0
        world.source.beforeMessage = () => {
          if (++messages === 2) table.history.push([upsert({ id: 1, name: 'new' }), remove({ id: 2 })])
        }

        const ports = {
          storage: faultyStorage(world.storage, { crash }),
          state: faultyState(world.state, { crash }),
        }
        await crash.life(() => runShop(world, [orders], { ...options, ports, fullRefresh: 'all' }))
        const after = await open()
        if ((await readSnapshot(world.storage, root))!.version === version) expect(after).toEqual(before)
        for (let waited = 0; waited <= LEASE_MS; waited += 9_000) await world.clock.sleep(9_000)
        const run = await runShop(world, [orders], options)

        expect(run.state).toBe('COMPLETED')
        const source = [...ScriptedSource.rows(table).values()].map(({ row }) => [row.id, row.name])
        expect(await open()).toEqual(source.sort((a, b) => Number(a[0]) - Number(b[0])))
      },
      { stride: process.env.SOAK ? 1 : 13 },
    )

    expect(points).toBeGreaterThan(100)
  },
)
