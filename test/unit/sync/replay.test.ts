import { afterAll, expect, test } from '@jest/globals'
import { type Row, upsert } from '../../../shared/core/change.ts'
import { readSnapshot } from '../../../shared/delta/snapshot.ts'
import { openEngine } from '../../../shared/load/engine.ts'
import { appendQuarantine } from '../../../shared/load/quarantine.ts'
import { readQuarantine } from '../../../shared/load/read-quarantine.ts'
import { readTableSql } from '../../../shared/load/read-table.ts'
import type { ResolvedTable } from '../../../shared/pipeline/resolve.ts'
import { EVOLVE } from '../../../shared/schema/schema-change.ts'
import { selectionOf } from '../../../shared/sync/plan.ts'
import { replayStream } from '../../../shared/sync/replay-stream.ts'
import { defaultSettings } from '../../../shared/sync/settings.ts'
import { everyCrashPoint } from '../../support/crash.ts'
import { column, seededRandom } from '../../support/delta.ts'
import { faultyState } from '../../support/faulty-state.ts'
import { faultyStorage } from '../../support/faulty-storage.ts'
import { scripted } from '../../support/scripted-source.ts'
import { newWorld, resolved, runShop, type World } from '../../support/sync-world.ts'
import { temporaryFolder } from '../../support/temporary-folder.ts'

const temporary = await temporaryFolder()
const engine = await openEngine({ scratch: temporary.folder, threads: 1 })
afterAll(async () => {
  engine.close()
  await temporary.remove()
})

const destination = { catalog: 'main', schema: 'shop', table: 'orders' }
const columns = [column('id'), column('price', 'integer'), column('seq')]
const append = { scdType: 'APPEND_ONLY', mode: 'query' } as const
const merge = { scdType: 'SCD_TYPE_1', mode: 'cdc', sequenceBy: ['seq'] } as const

const tableOf = (world: World, more: Partial<ResolvedTable>) =>
  resolved(world.source, 'orders', { schemaDrift: { ...EVOLVE, dataType: 'discard_row' }, ...more })

const quarantine = (world: World) => (_: ResolvedTable, runId: string) => (rows: never, place: never) =>
  appendQuarantine(destination, rows, { runId, owner: 'o', place }, { ...world, random: seededRandom(99) })

/** A run in which prices have become text, and rows whose price is no number are set aside. */
async function setAside(world: World, more: Partial<ResolvedTable>, rows: readonly Row[]): Promise<void> {
  const source = world.source.table('orders', { fields: columns })
  source.history.push([upsert({ id: 1, price: 10, seq: 1 })])
  const options = { engine: async () => engine, quarantine: quarantine(world) as never }
  await runShop(world, [tableOf(world, more)], options)
  source.schema = { fields: [column('id'), column('price', 'string'), column('seq')] }
  source.history.push(rows.map(upsert))
  await runShop(world, [tableOf(world, more)], options)
}

async function replay(world: World, more: Partial<ResolvedTable>, ports: Partial<World> = {}, n = 7) {
  const { source, storage, state, clock } = { ...world, ...ports }
  const signal = new AbortController().signal
  const ctx = await scripted.connect(source, { clock, signal })
  const table = tableOf(world, more)
  return replayStream(
    {
      pipeline: 'shop',
      stream: 'main.shop.orders',
      table,
      open: () => scripted.open(ctx, table.source, selectionOf(table, { owner: 'shop', parallelism: 1 })),
      fullRefresh: false,
      runStartedAtMs: clock.now(),
      settings: defaultSettings,
      signal,
      report: () => {},
    },
    { storage, state, clock, random: seededRandom(n), engine: async () => engine },
    { holder: { owner: `replay ${n}`, who: 'replay' }, isDead: () => true },
  )
}

async function rows(world: World): Promise<unknown[][]> {
  const snapshot = (await readSnapshot(world.storage, 'main/shop/orders'))!
  const found = await engine.session(async (session) =>
    session.rows(await readTableSql(session, world.storage, snapshot)),
  )
  return found
    .map((row) => Object.values(row).map((value) => (typeof value === 'bigint' ? Number(value) : value)))
    .sort((a, b) => Number(a[0]) - Number(b[0]))
}
const held = async (world: World) =>
  (await readQuarantine(destination, { ...world, random: seededRandom(5), engine: async () => engine })).length

const evolve = { schemaDrift: EVOLVE }

test('rows that were set aside are added once what kept them out is mended, and only once', async () => {
  const world = newWorld()
  await setAside(world, append, [
    { id: 2, price: 'dear', seq: 2 },
    { id: 3, price: '30', seq: 3 },
    { id: 4, price: 'cheap', seq: 4 },
  ])
  const before = [await rows(world), await held(world)]

  const unmended = await replay(world, append)
  const mended = await replay(world, { ...append, ...evolve })
  const again = await replay(world, { ...append, ...evolve }, {}, 8)

  expect(before).toEqual([
    [
      [1, 10, 1],
      [3, 30, 3],
    ],
    2,
  ])
  expect(unmended).toMatchObject({ applied: 0, left: [{ reason: 'price is wrong_type' }, {}] })
  expect(mended).toMatchObject({ applied: 2, superseded: 0, left: [] })
  expect(again).toMatchObject({ applied: 0, left: [] })
  expect(await rows(world)).toEqual([
    [1, 10, 1, null],
    [2, null, 2, 'dear'],
    [3, 30, 3, null],
    [4, null, 4, 'cheap'],
  ])
  expect(await held(world)).toBe(0)
})

test('an old row never takes the place of a newer one', async () => {
  const world = newWorld()
  await setAside(world, merge, [
    { id: 1, price: 'old', seq: 2 },
    { id: 1, price: '99', seq: 5 },
    { id: 2, price: 'new', seq: 6 },
    { id: 3, price: 'none', seq: null },
  ])

  const replayed = await replay(world, { ...merge, ...evolve })

  expect(replayed).toMatchObject({ applied: 2, left: [{ reason: 'it has no seq' }] })
  expect(await rows(world)).toEqual([
    [1, 99, 5, null],
    [2, null, 6, 'new'],
  ])
  expect(await held(world)).toBe(1)
})

test('where nothing orders changes and the source cannot tell, rows stay with the reason', async () => {
  const world = newWorld()
  const plain = { scdType: 'SCD_TYPE_1', mode: 'cdc' } as const
  await setAside(world, plain, [{ id: 2, price: 'dear', seq: 2 }])

  const replayed = await replay(world, { ...plain, ...evolve })

  expect(replayed).toMatchObject({ applied: 0, left: [{ reason: expect.stringContaining('set sequence_by') }] })
})

test('rows that a full copy has read again are taken out', async () => {
  const world = newWorld()
  await setAside(world, append, [{ id: 2, price: 'dear', seq: 2 }])
  await runShop(world, [tableOf(world, { ...append, ...evolve })], { fullRefresh: 'all', engine: async () => engine })

  const replayed = await replay(world, { ...append, ...evolve })

  expect(replayed).toMatchObject({ applied: 0, superseded: 1, left: [] })
  expect(await held(world)).toBe(0)
})

test.each([
  ['added', append, 2],
  ['merged', merge, 2],
] as const)('a replay that dies at any await and is repeated: rows are %s once', async (_, more, count) => {
  const points = await everyCrashPoint(
    async (crash) => {
      const world = newWorld()
      await setAside(world, more, [{ id: 2, price: 'dear', seq: 2 }])
      const faulty = { storage: faultyStorage(world.storage, { crash }), state: faultyState(world.state, { crash }) }

      await crash.life(() => replay(world, { ...more, ...evolve }, faulty))
      await replay(world, { ...more, ...evolve }, {}, 11)

      expect(await rows(world)).toHaveLength(count)
      expect(await held(world)).toBe(0)
    },
    { stride: process.env.SOAK ? 1 : 19 },
  )

  expect(points).toBeGreaterThan(30)
})
