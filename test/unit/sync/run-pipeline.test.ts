import { expect, test } from '@jest/globals'
import { upsert } from '../../../shared/core/change.ts'
import { IngestError } from '../../../shared/core/errors.ts'
import { readSnapshot } from '../../../shared/delta/snapshot.ts'
import { listEvents } from '../../../shared/state/events.ts'
import { listRuns } from '../../../shared/state/runs.ts'
import { everyCrashPoint } from '../../support/crash.ts'
import { column } from '../../support/delta.ts'
import { faultyState } from '../../support/faulty-state.ts'
import { faultyStorage } from '../../support/faulty-storage.ts'
import { ScriptedSource, type ScriptedTable } from '../../support/scripted-source.ts'
import { destinationRows, newWorld, resolved, runShop, type World } from '../../support/sync-world.ts'

const schema = { fields: [column('id'), column('name', 'string')] }
const root = 'main/shop/orders'

function orders(world: World, rows: number): ScriptedTable {
  const table = world.source.table('orders', schema)
  insert(table, rows)
  return table
}

/** Rows in transactions of two. */
function insert(table: ScriptedTable, rows: number): void {
  const first = ScriptedSource.rows(table).size
  for (let i = 0; i < rows; i += 2)
    table.history.push(
      Array.from({ length: Math.min(2, rows - i) }, (_, k) => upsert({ id: first + i + k, name: `n${first + i + k}` })),
    )
}

const expected = (table: ScriptedTable) =>
  [...ScriptedSource.rows(table).values()]
    .map(({ row }) => ({ id: BigInt(row.id as number), name: row.name }))
    .sort((a, b) => Number(a.id - b.id))

test('the first run copies what is there, later runs append what is new', async () => {
  const world = newWorld()
  const table = orders(world, 30)
  const tables = [resolved(world.source, 'orders')]

  const first = await runShop(world, tables)
  insert(table, 7)
  const second = await runShop(world, tables)
  const third = await runShop(world, tables)

  expect(await destinationRows(world, tables[0]!)).toEqual(expected(table))
  expect(first.streams).toMatchObject([{ state: 'COMPLETED', mode: 'full', rows: 30, commits: 1, version: 1 }])
  expect(second.streams).toMatchObject([{ mode: 'changes', rows: 7, commits: 1, version: 2 }])
  expect(third.streams).toMatchObject([{ mode: 'changes', rows: 0, commits: 0 }])
  expect(world.source.acknowledged.at(-1)).toBe(table.history.length)
})

test('a stream without changes is copied anew each run, and readers never see less than a whole copy', async () => {
  const world = newWorld()
  const table = orders(world, 20)
  const tables = [resolved(world.source, 'orders', { mode: 'snapshot' })]
  await runShop(world, tables)
  const versions: number[] = []
  world.source.beforeMessage = async () => void versions.push((await destinationRows(world, tables[0]!)).length)

  table.history.push([{ op: 'delete', key: { id: 3 } }])
  const run = await runShop(world, tables)

  expect(run.streams).toMatchObject([{ mode: 'full', rows: 19, commits: 1 }])
  expect(await destinationRows(world, tables[0]!)).toEqual(expected(table))
  expect(new Set(versions)).toEqual(new Set([20]))
})

test.each(['query', 'snapshot'] as const)(
  'a run of mode %s that dies at any await ends, with the next one, in the same table',
  async (mode) => {
    // Ten seconds to try them all: a soak does.
    const stride = process.env.SOAK ? 1 : 7
    const points = await everyCrashPoint(
      async (crash) => {
        const world = newWorld()
        const table = orders(world, 6)
        const tables = [resolved(world.source, 'orders', { mode })]
        const settings = { commitBytes: 1, leaseMs: 30_000 }
        const faulty = {
          storage: faultyStorage(world.storage, { crash }),
          state: faultyState(world.state, { crash }),
        }

        await crash.life(async () => {
          await runShop(world, tables, { settings, ports: faulty })
          insert(table, 2)
          await runShop(world, tables, { settings, ports: faulty })
        })
        for (let waited = 0; waited <= settings.leaseMs; waited += 9_000) await world.clock.sleep(9_000)
        const run = await runShop(world, tables, { settings })

        expect(run.state).toBe('COMPLETED')
        expect(await destinationRows(world, tables[0]!)).toEqual(expected(table))
      },
      { stride },
    )

    expect(points).toBeGreaterThan(100)
  },
)

test('a copy that was interrupted does not read staged pieces again', async () => {
  const world = newWorld()
  const table = orders(world, 40)
  const tables = [resolved(world.source, 'orders')]
  const stop = new AbortController()
  let messages = 0
  world.source.beforeMessage = () => {
    if (++messages === 35) stop.abort()
  }

  const first = await runShop(world, tables, { signal: stop.signal, settings: { pieces: 1, commitBytes: 1 } })
  const before = world.source.read.length
  const second = await runShop(world, tables)

  expect(first).toMatchObject({ state: 'CANCELED' })
  expect(second.state).toBe('COMPLETED')
  expect(world.source.read.length - before).toBeLessThan(40 - before + 5)
  expect(await destinationRows(world, tables[0]!)).toEqual(expected(table))
})

test('a whole read that was interrupted is finished, and then read again as it is now', async () => {
  const world = newWorld()
  const table = orders(world, 40)
  const tables = [resolved(world.source, 'orders', { mode: 'snapshot' })]
  const stop = new AbortController()
  let messages = 0
  world.source.beforeMessage = () => {
    if (++messages === 35) stop.abort()
  }
  await runShop(world, tables, { signal: stop.signal, settings: { pieces: 1, commitBytes: 1 } })

  for (let id = 0; id < 40; id++) table.history.push([upsert({ id, name: 'changed' })])
  const run = await runShop(world, tables)

  expect(run.streams).toMatchObject([{ state: 'COMPLETED', commits: 2 }])
  expect(await destinationRows(world, tables[0]!)).toEqual(expected(table))
})

test('at the deadline a copy stops at a checkpoint, and any number of such tasks finish it', async () => {
  const world = newWorld()
  const table = orders(world, 40)
  const tables = [resolved(world.source, 'orders')]

  let runs = 0
  for (; runs < 50; runs++) {
    const deadlineMs = world.clock.now() + 40
    const run = await runShop(world, tables, { deadlineMs })
    if (run.streams[0]!.commits > 0) break
  }

  expect(runs).toBeGreaterThan(0)
  expect(world.source.read).toHaveLength(40)
  expect(await destinationRows(world, tables[0]!)).toEqual(expected(table))
})

test('one failing stream does not stop the others, and its error is in the log', async () => {
  const world = newWorld()
  orders(world, 4)
  world.source.table('broken', schema).history.push([upsert({ id: 1, name: 'a' })])
  const tables = [resolved(world.source, 'broken'), resolved(world.source, 'orders')]
  world.source.beforeMessage = (stream) => {
    if (stream === 'broken') throw new IngestError('source.permission_denied', 'select on broken is not granted')
  }

  const run = await runShop(world, tables)

  expect(run.state).toBe('FAILED')
  expect(run.streams).toMatchObject([
    { state: 'FAILED', error: { code: 'source.permission_denied', remedy: 'fix' } },
    { state: 'COMPLETED', rows: 4 },
  ])
  expect(await listRuns(world.state, 'shop')).toMatchObject([{ id: run.id, state: 'FAILED' }])
  const events = await listEvents(world.state, 'shop', { run: run.id })
  expect(events.map(({ sequence }) => sequence)).toEqual(events.map((_, i) => i + 1))
  expect(events.find(({ level, origin }) => level === 'ERROR' && origin.flow_name)).toMatchObject({
    event_type: 'flow_progress',
    origin: {
      pipeline_name: 'shop',
      update_id: run.id,
      dataset_name: 'main.shop.broken',
      ingestion_source_table_name: 'broken',
    },
    error: { fatal: true, exceptions: [{ code: 'source.permission_denied' }] },
  })
})

test('passing faults are waited out as the source asks, and give up after tries without progress', async () => {
  const world = newWorld()
  const table = orders(world, 4)
  const tables = [resolved(world.source, 'orders')]
  let faults = 3
  world.source.beforeMessage = () => {
    if (faults-- > 0) throw new IngestError('source.throttled', 'slow down', { retryAfterMs: 7_000 })
  }

  const patient = await runShop(world, tables, { settings: { pieces: 1 } })
  faults = Infinity
  insert(table, 2)
  const vain = await runShop(world, tables)

  expect(patient.state).toBe('COMPLETED')
  expect(patient.told.filter(({ kind }) => kind === 'retrying')).toMatchObject([
    { waitMs: 7_000, attempt: 1 },
    { waitMs: 7_000, attempt: 2 },
    { waitMs: 7_000, attempt: 3 },
  ])
  expect(vain.streams).toMatchObject([{ state: 'FAILED', error: { code: 'source.throttled' } }])
})

test('a source that forgot our place is copied again, once', async () => {
  const world = newWorld()
  const table = orders(world, 4)
  const tables = [resolved(world.source, 'orders')]
  await runShop(world, tables)

  insert(table, 2)
  world.source.forgottenUpTo = 2
  const run = await runShop(world, tables)

  expect(run.told.map(({ kind }) => kind)).toContain('resyncing')
  expect(run.streams).toMatchObject([{ state: 'COMPLETED', mode: 'full' }])
  expect(await destinationRows(world, tables[0]!)).toEqual(expected(table))
})

test('a table that lost its state, or was restored, is copied again and not appended to', async () => {
  const world = newWorld()
  const table = orders(world, 6)
  const tables = [resolved(world.source, 'orders')]
  await runShop(world, tables)

  const forgetful = { ...world, state: newWorld().state }
  await runShop(forgetful, tables)

  expect(await destinationRows(world, tables[0]!)).toEqual(expected(table))
})

test('a full refresh replaces rows and columns in one commit', async () => {
  const world = newWorld()
  const table = orders(world, 6)
  const tables = [resolved(world.source, 'orders')]
  await runShop(world, tables)
  const narrow = resolved(world.source, 'orders', { columns: ['id'] })

  const run = await runShop(world, [narrow], { fullRefresh: 'all' })

  expect(run.streams).toMatchObject([{ mode: 'full', version: 2, commits: 1 }])
  expect((await readSnapshot(world.storage, root))!.schema.fields.map(({ name }) => name)).toEqual(['id'])
  expect(await destinationRows(world, narrow)).toEqual(expected(table).map(({ id }) => ({ id })))
})

test('a column that appears is added, one whose type changed leads to a new copy', async () => {
  const world = newWorld()
  const table = orders(world, 3)
  await runShop(world, [resolved(world.source, 'orders')])

  table.schema = { fields: [...schema.fields, column('note', 'string')] }
  table.history.push([upsert({ id: 10, name: 'ten', note: 'new' })])
  const added = await runShop(world, [resolved(world.source, 'orders')])
  table.schema = { fields: [column('id', 'string'), ...table.schema.fields.slice(1)] }
  for (const transaction of table.history)
    for (const change of transaction) if (change.op === 'upsert') change.row.id = String(change.row.id)
  table.history.push([upsert({ id: '11', name: 'eleven', note: null })])
  const changed = await runShop(world, [resolved(world.source, 'orders')])

  expect(added.streams).toMatchObject([{ mode: 'changes', rows: 1, state: 'COMPLETED' }])
  expect(changed.streams).toMatchObject([{ mode: 'full', state: 'COMPLETED' }])
  const rows = await destinationRows(world, resolved(world.source, 'orders'))
  expect(rows.map(({ id, note }) => [id, note ?? null])).toEqual([
    ['0', null],
    ['1', null],
    ['2', null],
    ['10', 'new'],
    ['11', null],
  ])
})

test('rows that do not fit are set aside before their commit, and too many stop the stream with nothing changed', async () => {
  const world = newWorld()
  const table = orders(world, 4)
  const tables = [resolved(world.source, 'orders')]
  await runShop(world, tables)
  const aside: unknown[] = []
  const quarantine = () => async (rows: readonly unknown[]) => void aside.push(...rows)
  const bad = (id: number) => upsert({ id: `not a number ${id}`, name: 'x' })

  table.history.push([bad(1), upsert({ id: 50, name: 'good' }), bad(2)])
  const some = await runShop(world, tables, { quarantine, settings: { quarantineLimit: 2 } })
  table.history.push([bad(3), bad(4), bad(5), upsert({ id: 51, name: 'good' })])
  const many = await runShop(world, tables, { quarantine, settings: { quarantineLimit: 2 } })

  expect(some.streams).toMatchObject([{ state: 'COMPLETED', rows: 1, rejected: 2 }])
  expect(aside).toHaveLength(2)
  expect(many.streams).toMatchObject([{ state: 'FAILED', error: { code: 'row.quarantine_limit' }, commits: 0 }])
  expect((await destinationRows(world, tables[0]!)).map(({ id }) => Number(id))).toEqual([0, 1, 2, 3, 50])
})

test('a stream that is read another way begins with a full copy, since its cursor means nothing there', async () => {
  const world = newWorld()
  const table = orders(world, 6)
  await runShop(world, [resolved(world.source, 'orders')])

  insert(table, 2)
  const run = await runShop(world, [resolved(world.source, 'orders', { cursorColumns: ['id'] })])

  expect(run.streams).toMatchObject([{ mode: 'full', state: 'COMPLETED' }])
  expect(await destinationRows(world, resolved(world.source, 'orders'))).toEqual(expected(table))
})

test('a table of another maker is not touched', async () => {
  const world = newWorld()
  orders(world, 2)
  const tables = [resolved(world.source, 'orders')]
  await runShop(world, tables)

  const run = await runShop(world, tables, { pipeline: 'other' })

  expect(run.streams).toMatchObject([{ state: 'FAILED', error: { code: 'table.name_taken' } }])
})

test('two processes on one pipeline: the second is told who holds the stream', async () => {
  const world = newWorld()
  const table = orders(world, 6)
  const tables = [resolved(world.source, 'orders')]
  let second: Promise<Awaited<ReturnType<typeof runShop>>> | undefined
  world.source.beforeMessage = async () => {
    second ??= runShop(world, tables)
    await second
  }

  const first = await runShop(world, tables)

  expect(first.state).toBe('COMPLETED')
  expect((await second!).streams).toMatchObject([{ state: 'FAILED', error: { code: 'state.lease_held' } }])
  expect((await second!).streams[0]!.error!.message).toMatch(/main\.shop\.orders is being synced by process \d+/)
  expect(await destinationRows(world, tables[0]!)).toEqual(expected(table))
})
