import { afterAll, expect, test } from '@jest/globals'
import { remove, upsert } from '../../../shared/core/change.ts'
import { readSnapshot } from '../../../shared/delta/snapshot.ts'
import { openEngine } from '../../../shared/load/engine.ts'
import type { ResolvedTable } from '../../../shared/pipeline/resolve.ts'
import { listEvents } from '../../../shared/state/events.ts'
import { column } from '../../support/delta.ts'
import type { ScriptedTable } from '../../support/scripted-source.ts'
import { destinationRows, newWorld, resolved, runShop, type World } from '../../support/sync-world.ts'
import { temporaryFolder } from '../../support/temporary-folder.ts'

const temporary = await temporaryFolder()
const engine = await openEngine({ scratch: temporary.folder, threads: 1 })
afterAll(async () => {
  engine.close()
  await temporary.remove()
})

const options = { engine: async () => engine }
const again = { ...options, fullRefresh: 'all' as const }
const DAY_MS = 86_400_000

/** A table of six rows that was copied once. */
async function copied(
  more: Partial<ResolvedTable>,
): Promise<{ world: World; table: ScriptedTable; orders: ResolvedTable }> {
  const world = newWorld()
  const table = world.source.table('orders', { fields: [column('id'), column('name', 'string')] })
  table.history.push([1, 2, 3, 4, 5, 6].map((id) => upsert({ id, name: 'old' })))
  const orders = resolved(world.source, 'orders', { mode: 'cdc', scdType: 'SCD_TYPE_1', ...more })
  await runShop(world, [orders], options)
  return { world, table, orders }
}

const pairs = async (world: World, orders: ResolvedTable) =>
  (await destinationRows(world, orders)).map(({ id, name }) => [Number(id), name])
const versionOf = async (world: World) => (await readSnapshot(world.storage, 'main/shop/orders'))!.version

/** While the copy reads its second row, the source goes on. */
function changeMeanwhile(world: World, table: ScriptedTable): void {
  let messages = 0
  world.source.beforeMessage = () => {
    if (++messages !== 2) return
    table.history.push([upsert({ id: 1, name: 'new' }), remove({ id: 2 })], [upsert({ id: 7, name: 'seven' })])
  }
}

test('what changes while a table is copied again is in the same commit, and until then readers see the old rows', async () => {
  const { world, table, orders } = await copied({})
  const before = await versionOf(world)
  changeMeanwhile(world, table)
  const change = world.source.beforeMessage
  const seen = new Set<string>()
  world.source.beforeMessage = async (...message) => {
    await change(...message)
    seen.add(JSON.stringify(await pairs(world, orders)))
  }

  const run = await runShop(world, [orders], again)

  expect(run.streams).toMatchObject([{ state: 'COMPLETED', mode: 'full', commits: 1 }])
  expect(await versionOf(world)).toBe(before + 1)
  expect([...seen]).toEqual([JSON.stringify([1, 2, 3, 4, 5, 6].map((id) => [id, 'old']))])
  expect(await pairs(world, orders)).toEqual([
    [1, 'new'],
    [3, 'old'],
    [4, 'old'],
    [5, 'old'],
    [6, 'old'],
    [7, 'seven'],
  ])
})

test('a copy again of a table that is only added to takes the rows since it began in the same commit', async () => {
  const { world, table, orders } = await copied({ mode: 'query', scdType: 'APPEND_ONLY' })
  changeMeanwhile(world, table)

  const run = await runShop(world, [orders], again)

  expect(run.streams).toMatchObject([{ state: 'COMPLETED', commits: 1 }])
  expect((await pairs(world, orders)).filter(([id]) => id === 7)).toEqual([[7, 'seven']])
})

test('a captured table that is only added to has a row once that was written while it was copied', async () => {
  const { world, table, orders } = await copied({ mode: 'cdc', scdType: 'APPEND_ONLY' })
  // The last piece is read after it: the row is in the copy and in the log.
  let messages = 0
  world.source.beforeMessage = () => {
    if (++messages === 2) table.history.push([7, 8, 9, 10, 11, 12].map((id) => upsert({ id, name: 'meanwhile' })))
  }

  const run = await runShop(world, [orders], again)
  table.history.push([upsert({ id: 7, name: 'later' })])
  await runShop(world, [orders])

  expect(run.streams).toMatchObject([{ state: 'COMPLETED' }])
  const rows = await pairs(world, orders)
  expect(rows.filter(([, name]) => name === 'meanwhile').map(([id]) => id)).toEqual([7, 8, 9, 10, 11, 12])
  expect(
    rows
      .filter(([id]) => id === 7)
      .map(([, name]) => name)
      .sort(),
  ).toEqual(['later', 'meanwhile'])
})

test('a history takes what was deleted and comes again while it is copied', async () => {
  const { world, table, orders } = await copied({ scdType: 'SCD_TYPE_2' })
  table.history.push([remove({ id: 3 })])
  world.source.pieces = 1
  let messages = 0
  world.source.beforeMessage = () => {
    if (++messages === 2) table.history.push([upsert({ id: 3, name: 'back' })])
  }

  const run = await runShop(world, [orders], again)

  const third = (await destinationRows(world, orders)).filter(({ id }) => Number(id) === 3)
  expect(run.streams).toMatchObject([{ state: 'COMPLETED' }])
  expect(third.filter((row) => row.__END_AT === null).map(({ name }) => name)).toEqual(['back'])
})

test.each([false, true])('the versions before a full refresh: dropped is %s', async (dropsHistory) => {
  const { world, table, orders } = await copied({ scdType: 'SCD_TYPE_2', dropsHistory })
  table.history.push([upsert({ id: 1, name: 'new' })])

  await runShop(world, [orders], again)

  const first = (await destinationRows(world, orders)).filter(({ id }) => Number(id) === 1)
  expect(first.map(({ name }) => name).sort()).toEqual(dropsHistory ? ['new'] : ['new', 'old'])
})

test('a copy again that is interrupted in its last step goes on there: no row is read twice', async () => {
  const { world, table, orders } = await copied({})
  changeMeanwhile(world, table)
  const change = world.source.beforeMessage
  const stop = new AbortController()
  let told = 0
  world.source.beforeMessage = (stream, message) => {
    change(stream, message)
    if (message.op === 'upsert' && message.row.id === 7 && ++told === 1) stop.abort()
  }
  const settings = { commitBytes: 1 }
  world.source.pieces = 1
  world.source.read.length = 0

  const first = await runShop(world, [orders], { ...again, settings, signal: stop.signal })
  const second = await runShop(world, [orders], { ...options, settings })

  expect(first.state).toBe('CANCELED')
  expect(second.streams).toMatchObject([{ state: 'COMPLETED', mode: 'full', commits: 1 }])
  expect(new Set(world.source.read).size).toBe(world.source.read.length)
  expect((await pairs(world, orders)).map(([id]) => id)).toEqual([1, 3, 4, 5, 6, 7])
})

test('a full refresh outside of its window waits for it, and changes go on', async () => {
  const fullRefreshWindow = { startHour: 9, days: [5], zone: 'UTC' }
  const { world, table, orders } = await copied({ fullRefreshWindow })
  table.history.push([upsert({ id: 7, name: 'seven' })])

  const outside = await runShop(world, [orders], again)
  // The clock began on a Thursday at midnight.
  await world.clock.sleep(DAY_MS + 9 * 3_600_000)
  const inside = await runShop(world, [orders], options)
  const after = await runShop(world, [orders], options)

  expect(outside.streams).toMatchObject([{ state: 'COMPLETED', mode: 'changes', rows: 1 }])
  expect(outside.told).toContainEqual(expect.objectContaining({ kind: 'waiting', untilMs: Date.UTC(2026, 0, 2, 9) }))
  const events = await listEvents(world.state, 'shop', { run: outside.id })
  expect(events.map(({ message }) => message)).toContain(
    'main.shop.orders: a full refresh is due and waits for its window, which opens at 2026-01-02T09:00:00.000Z',
  )
  expect(inside.streams).toMatchObject([{ state: 'COMPLETED', mode: 'full' }])
  expect(after.streams).toMatchObject([{ state: 'COMPLETED', mode: 'changes' }])
})

test('a stream that lost its place outside of the window waits with its rows as they are', async () => {
  const fullRefreshWindow = { startHour: 9, days: [4], zone: 'UTC' }
  const { world, table, orders } = await copied({ fullRefreshWindow })
  table.history.push([upsert({ id: 7, name: 'seven' })])
  world.source.forgottenUpTo = 1

  const outside = await runShop(world, [orders], options)
  const rows = await pairs(world, orders)
  await world.clock.sleep(9 * 3_600_000)
  const inside = await runShop(world, [orders], options)

  expect(outside.streams).toMatchObject([{ state: 'COMPLETED', rows: 0 }])
  expect(outside.told.map(({ kind }) => kind)).toContain('waiting')
  expect(rows).toHaveLength(6)
  expect(inside.streams).toMatchObject([{ state: 'COMPLETED', mode: 'full' }])
  expect(await pairs(world, orders)).toHaveLength(7)
})

test.each(['never', { minIntervalMs: DAY_MS }] as const)(
  'a policy of %j stops a stream that lost its place, and says how to copy it again',
  async (autoFullRefresh) => {
    const { world, table, orders } = await copied({ autoFullRefresh })
    table.history.push([upsert({ id: 7, name: 'seven' })])
    world.source.forgottenUpTo = 1

    const early = await runShop(world, [orders], options)
    await world.clock.sleep(DAY_MS)
    const late = await runShop(world, [orders], options)
    const asked = await runShop(world, [orders], again)

    expect(early.streams).toMatchObject([{ state: 'FAILED', error: { code: 'table.refresh_needed', remedy: 'fix' } }])
    expect(early.streams[0]!.error!.message).toContain('lakeflow run shop --full-refresh=main.shop.orders')
    expect(late.streams).toMatchObject([{ state: autoFullRefresh === 'never' ? 'FAILED' : 'COMPLETED' }])
    expect(asked.state).toBe('COMPLETED')
    expect(await pairs(world, orders)).toHaveLength(7)
  },
)

test('a whole read may lack the share that is allowed, and the stop names counts and the command that lets it through', async () => {
  const { world, table, orders } = await copied({ mode: 'snapshot', maxShrink: 0.2 })
  table.history.push([remove({ id: 1 })])
  const allowed = await runShop(world, [orders], options)
  table.history.push([remove({ id: 2 }), remove({ id: 3 })])

  const refused = await runShop(world, [orders], options)
  const asked = await runShop(world, [orders], again)

  expect(allowed.streams).toMatchObject([{ state: 'COMPLETED' }])
  expect(refused.streams).toMatchObject([
    {
      state: 'FAILED',
      error: {
        code: 'source.shrunk',
        message:
          'the source lacks 2 of the 5 rows of main.shop.orders, and at most 1 may go at once (max_snapshot_shrink: 0.2); if they were deleted, let this read through once with: lakeflow run shop --full-refresh=main.shop.orders',
      },
    },
  ])
  expect(asked.state).toBe('COMPLETED')
  expect(await pairs(world, orders)).toHaveLength(3)
})
