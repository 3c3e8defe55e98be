import { afterAll, expect, test } from '@jest/globals'
import { upsert } from '../../../shared/core/change.ts'
import { openEngine } from '../../../shared/load/engine.ts'
import { selectionOf } from '../../../shared/sync/plan.ts'
import { everyCrashPoint } from '../../support/crash.ts'
import { column } from '../../support/delta.ts'
import { before, drifted, id, modes, retyped, tableRows } from '../../support/drift.ts'
import { faultyState } from '../../support/faulty-state.ts'
import { faultyStorage } from '../../support/faulty-storage.ts'
import { scripted } from '../../support/scripted-source.ts'
import { newWorld, resolved, runShop } from '../../support/sync-world.ts'
import { temporaryFolder } from '../../support/temporary-folder.ts'

const temporary = await temporaryFolder()
const engine = await openEngine({ scratch: temporary.folder, threads: 1 })
afterAll(async () => {
  engine.close()
  await temporary.remove()
})

const history = { mode: 'cdc', scdType: 'SCD_TYPE_2' } as const

test('a history takes a type that does not fit beside the old column, and a rename by mapping', async () => {
  const first = [id('id', 1, 'long'), id('price', 2), id('note', 3, 'string')]
  const columns = [id('id', 1, 'long'), id('price', 2, 'string'), id('remark', 3, 'string')]
  const ran = await drifted(
    engine,
    {},
    { first, columns, rows: [{ id: 1, price: 'dear', remark: 'new' }] },
    { table: history },
  )

  expect(ran.run.streams).toMatchObject([{ state: 'COMPLETED', mode: 'changes' }])
  expect(ran.columns.slice(0, 4)).toEqual(['id long', 'price integer', 'remark string', 'price__string string'])
  expect(ran.rows.map((row) => [row.id, row.price, row.price__string, row.remark, row.__END_AT === null])).toEqual(
    expect.arrayContaining([
      [1, 10, null, null, false],
      [1, null, 'dear', 'new', true],
      [2, 20, null, null, true],
    ]),
  )
})

test('who lets full refreshes begin by themselves gets the new type in one column', async () => {
  const table = { mode: 'query', scdType: 'SCD_TYPE_1', autoFullRefresh: { minIntervalMs: 0 } } as const

  const ran = await drifted(engine, {}, retyped, { form: 'copy', table })

  expect(ran.run.streams).toMatchObject([{ state: 'COMPLETED', mode: 'full' }])
  expect(ran.columns).toEqual(['id long', 'price string'])
  expect(ran.rows.map(({ price }) => price)).toEqual(['10', '20', '30', 'dear'])
})

test('a source that cannot be followed is let go before its table is copied again', async () => {
  const world = newWorld()
  const source = world.source.table('orders', { fields: before })
  source.history.push([upsert({ id: 1, price: 10 })])
  const table = () => resolved(world.source, 'orders', { mode: 'cdc', scdType: 'SCD_TYPE_1' })
  await runShop(world, [table()], { engine: async () => engine })
  // A key has one place only.
  source.schema = { fields: [column('id', 'string'), column('price', 'integer')] }
  source.history = [[upsert({ id: 'a', price: 1 })], [upsert({ id: 'b', price: 2 })]]
  let reading = 0
  const run = await runShop(world, [table()], {
    engine: async () => engine,
    open: async (chosen, notice) => {
      expect(reading).toBe(0)
      const signal = new AbortController().signal
      const ctx = await scripted.connect(world.source, { clock: world.clock, signal })
      const stream = await scripted.open(
        ctx,
        chosen.source,
        selectionOf(chosen, { owner: 'shop', parallelism: 1, notice }),
      )
      if (stream.kind === 'snapshot') return stream
      return {
        ...stream,
        async *changes(after) {
          reading += 1
          try {
            yield* stream.changes(after)
          } finally {
            reading -= 1
          }
        },
      }
    },
  })

  expect(run.streams).toMatchObject([{ state: 'COMPLETED', mode: 'full' }])
  expect(run.told.filter(({ kind }) => kind === 'resyncing')).toHaveLength(1)
  expect((await tableRows(engine, world)).map(({ id }) => id).sort()).toEqual(['a', 'b'])
})

test('a widening that is longer than a task is ended by later ones, and no file is written twice', async () => {
  const world = newWorld()
  const source = world.source.table('orders', { fields: before })
  const table = () => [resolved(world.source, 'orders', { mode: 'query', scdType: 'APPEND_ONLY' })]
  for (let n = 1; n <= 6; n++) {
    source.history.push([upsert({ id: n, price: n })])
    await runShop(world, table(), { engine: async () => engine })
  }
  source.schema = { fields: [column('id'), column('price', 'long')] }
  source.history.push([upsert({ id: 7, price: 5_000_000_000 })])
  const written: string[] = []
  const writer = (path: string) => {
    if (path.endsWith('.parquet')) written.push(path)
    return world.storage.writer(path)
  }
  const ports = { storage: { ...world.storage, writer } }
  let tasks = 0
  for (; tasks < 20; tasks++) {
    const deadlineMs = world.clock.now()
    const run = await runShop(world, table(), { engine: async () => engine, ports, deadlineMs })
    if (run.streams[0]!.commits > 0) break
  }

  expect(tasks).toBe(5)
  expect(written).toHaveLength(7)
  expect((await tableRows(engine, world)).map(({ price }) => price)).toEqual([1, 2, 3, 4, 5, 6, 5_000_000_000])
})

const dying = process.env.SOAK ? modes : modes.filter(([name]) => name === 'capture')

test.each([...dying, ['history', history] as const])(
  'a run that dies at any await while columns come, widen and are renamed ends in the same table: %s',
  async (_, more) => {
    const points = await everyCrashPoint(
      async (crash) => {
        const world = newWorld()
        const fields = [id('id', 1, 'long'), id('price', 2), id('note', 3, 'string')]
        const source = world.source.table('orders', { fields })
        source.history.push([upsert({ id: 1, price: 10, note: 'a' }), upsert({ id: 2, price: 20, note: 'b' })])
        const engineOf = { engine: async () => engine }
        const table = () => [resolved(world.source, 'orders', more)]
        await runShop(world, table(), engineOf)
        source.schema = {
          fields: [id('id', 1, 'long'), id('price', 2, 'long'), id('remark', 3, 'string'), id('size', 4)],
        }
        source.history[0] = [upsert({ id: 1, price: 10, remark: 'a' }), upsert({ id: 2, price: 20, remark: 'b' })]
        source.history.push([upsert({ id: 3, price: 5_000_000_000, remark: 'c', size: 1 })])
        const faulty = {
          storage: faultyStorage(world.storage, { crash }),
          state: faultyState(world.state, { crash }),
        }

        await crash.life(() => runShop(world, table(), { ...engineOf, ports: faulty }))
        for (let waited = 0; waited <= 30_000; waited += 9_000) await world.clock.sleep(9_000)
        const run = await runShop(world, table(), engineOf)

        expect(run.streams.map(({ error }) => error)).toEqual([undefined])
        expect(
          (await tableRows(engine, world)).map(({ id, price, remark, size }) => [id, price, remark, size]),
        ).toEqual([
          [1, 10, 'a', null],
          [2, 20, 'b', null],
          [3, 5_000_000_000, 'c', 1],
        ])
      },
      { stride: process.env.SOAK ? 1 : 47 },
    )

    expect(points).toBeGreaterThan(0)
  },
)
