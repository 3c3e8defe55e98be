import { afterAll, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { type Change, remove, upsert } from '../../shared/core/change.ts'
import { readSnapshot } from '../../shared/delta/snapshot.ts'
import { openEngine } from '../../shared/load/engine.ts'
import { readTableSql } from '../../shared/load/read-table.ts'
import type { ResolvedTable } from '../../shared/pipeline/resolve.ts'
import { crashAt } from '../support/crash.ts'
import { column } from '../support/delta.ts'
import { faultyState } from '../support/faulty-state.ts'
import { faultyStorage } from '../support/faulty-storage.ts'
import { ScriptedSource, type ScriptedTable } from '../support/scripted-source.ts'
import { destinationRows, newWorld, resolved, runShop, type World } from '../support/sync-world.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const numRuns = Number(process.env.SOAK ?? 8)
const { folder, remove: removeFolder } = await temporaryFolder()
const engine = await openEngine({ scratch: folder, threads: 1 })
afterAll(async () => {
  engine.close()
  await removeFolder()
})

const IDS = [1, 2, 3, 4]
const columns = [column('id'), column('seq'), column('name', 'string')]
const LEASE_MS = 30_000

/** What happens at the source between two runs, and how the second of them goes. */
interface Step {
  changes: { id: number; name: string | null; kind: 'put' | 'delete' | 'move' | 'truncate' }[]
  /** The source gets the column `extra`. */
  grows: boolean
  /** Changes that happen while the run reads, before its n-th message. */
  meanwhile: { id: number; name: string | null; kind: 'put' | 'delete' | 'move' | 'truncate' }[]
  at: number
  fullRefresh: boolean
  /** The run dies at this await of a port; beyond its end it does not. */
  crash: number
}

const change = fc.record({
  id: fc.constantFrom(...IDS),
  name: fc.constantFrom('a', 'b', null),
  kind: fc.constantFrom(
    'put' as const,
    'put' as const,
    'put' as const,
    'delete' as const,
    'move' as const,
    'truncate' as const,
  ),
})
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.record({
    changes: fc.array(change, { maxLength: 5 }),
    grows: fc.boolean(),
    meanwhile: fc.array(change, { maxLength: 3 }),
    at: fc.integer({ min: 1, max: 8 }),
    fullRefresh: fc.boolean(),
    crash: fc.integer({ min: 1, max: 300 }),
  }),
  { minLength: 1, maxLength: 4 },
)

/** The source's next transaction. Each change has a sequence of its own, as rows of the source do; a delete tells none. */
function happen(table: ScriptedTable, clock: { seq: number }, { id, name, kind }: Step['changes'][number]): void {
  const there = new Map([...ScriptedSource.rows(table).values()].map(({ row }) => [Number(row.id), row]))
  const grown = table.schema.fields.length > columns.length
  const put = (to: number): Change => {
    clock.seq += 10
    return upsert({ id: to, seq: clock.seq, name, ...(grown && { extra: `${name}+` }) })
  }
  const gone = (which: number[]) => which.filter((each) => there.has(each)).map((each) => remove({ id: each }))
  if (kind === 'put') table.history.push([put(id)])
  if (kind === 'delete') table.history.push(gone([id]))
  if (kind === 'move') table.history.push([...gone([id]), put((id % IDS.length) + 1)])
  if (kind === 'truncate') table.history.push(gone(IDS))
}

/** Plays the steps: in each the source goes on, a run dies, and another one ends the work. */
async function play(
  played: Step[],
  more: Partial<ResolvedTable>,
): Promise<{ world: World; table: ScriptedTable; last: ResolvedTable }> {
  const world = newWorld()
  const table = world.source.table('orders', { fields: columns })
  const clock = { seq: 0 }
  const options = { engine: async () => engine, settings: { commitBytes: 1, leaseMs: LEASE_MS } }
  let last: ResolvedTable = resolved(world.source, 'orders', more)
  for (const step of [
    ...played,
    { changes: [], grows: false, meanwhile: [], at: 1, fullRefresh: false, crash: Infinity },
  ]) {
    if (step.grows) table.schema = { fields: [...columns, column('extra', 'string')] }
    for (const each of step.changes) happen(table, clock, each)
    let messages = 0
    world.source.beforeMessage = () => {
      if (++messages === step.at) for (const each of step.meanwhile) happen(table, clock, each)
    }
    last = resolved(world.source, 'orders', more)
    const crash = crashAt(step.crash)
    const ports = { storage: faultyStorage(world.storage, { crash }), state: faultyState(world.state, { crash }) }
    const fullRefresh = step.fullRefresh ? ('all' as const) : ('none' as const)
    await crash.life(() => runShop(world, [last], { ...options, ports, fullRefresh }))
    world.source.beforeMessage = () => {}
    for (let waited = 0; waited <= LEASE_MS; waited += 9_000) await world.clock.sleep(9_000)
    const run = await runShop(world, [last], options)
    expect(run.streams).toMatchObject([{ state: 'COMPLETED' }])
  }
  return { world, table, last }
}

/** All rows, by the embedded engine; hyparquet has to read the same. */
async function rowsOf(world: World, table: ResolvedTable): Promise<Record<string, unknown>[]> {
  const snapshot = (await readSnapshot(world.storage, 'main/shop/orders'))!
  // A Date has no microseconds.
  const timed = snapshot.schema.fields.some(({ name, type }) => name === '__START_AT' && type.kind === 'timestamp')
  const exact = timed ? 'replace (epoch_us("__START_AT") as "__START_AT", epoch_us("__END_AT") as "__END_AT")' : ''
  const rows = await engine.session(async (session) =>
    session.rows(`select * ${exact} from (${await readTableSql(session, world.storage, snapshot)})`),
  )
  const texts = (all: Record<string, unknown>[]) => all.map((row) => JSON.stringify(plain(row))).sort()
  const names = snapshot.schema.fields.map(({ name }) => name)
  const whole = (await destinationRows(world, table)).map((row) =>
    Object.fromEntries(names.map((name) => [name, row[name] ?? null])),
  )
  if (!timed) expect(texts(whole)).toEqual(texts(rows))
  return rows
    .map(plain)
    .sort((a, b) => Number(a.id) - Number(b.id) || Number(a.__START_AT ?? 0) - Number(b.__START_AT ?? 0))
}

const plain = (row: Record<string, unknown>) =>
  Object.fromEntries(
    Object.entries(row).map(([name, value]) => [name, typeof value === 'bigint' ? Number(value) : (value ?? null)]),
  )

/** What the source holds, as the table must. A row from before `extra` has none. */
const present = (table: ScriptedTable) =>
  [...ScriptedSource.rows(table).values()]
    .map(({ row }) => [Number(row.id), row.seq, row.name, row.extra ?? null])
    .sort(([a], [b]) => Number(a) - Number(b))
const values = (row: Record<string, unknown>) => [row.id, row.seq, row.name, row.extra ?? null]

test.each([
  ['SCD_TYPE_1', 'cdc', []],
  ['SCD_TYPE_1', 'cdc', ['seq']],
  ['SCD_TYPE_1', 'snapshot', []],
] as const)(
  '%s read by %s in order of %j ends as the source, wherever a run dies',
  async (scdType, mode, sequenceBy) => {
    await fc.assert(
      fc.asyncProperty(steps, async (played) => {
        const { world, table, last } = await play(played, { scdType, mode, sequenceBy, maxShrink: 1 })

        expect((await rowsOf(world, last)).map(values)).toEqual(present(table))
      }),
      { numRuns, endOnFailure: true },
    )
  },
)

test.each([['seq'], []])(
  'SCD_TYPE_2 in order of %j: open versions are the source, and none overlaps another',
  async (...sequenceBy) => {
    await fc.assert(
      fc.asyncProperty(steps, async (played) => {
        const { world, table, last } = await play(played, { scdType: 'SCD_TYPE_2', mode: 'cdc', sequenceBy })

        const rows = await rowsOf(world, last)
        expect(rows.filter((row) => row.__END_AT === null).map(values)).toEqual(present(table))
        for (const id of IDS) {
          const versions = rows.filter((row) => row.id === id)
          versions.forEach((version, at) => {
            const next = versions[at + 1]
            if (next) expect(Number(version.__END_AT)).toBeLessThanOrEqual(Number(next.__START_AT))
            expect(version.__END_AT === null || Number(version.__END_AT) > Number(version.__START_AT)).toBe(true)
          })
        }
      }),
      { numRuns, endOnFailure: true },
    )
  },
)

test('APPEND_ONLY has every row that was written after the last copy, once, and those that were there then', async () => {
  await fc.assert(
    fc.asyncProperty(steps, async (played) => {
      const { world, table, last } = await play(played, { scdType: 'APPEND_ONLY', mode: 'query' })

      const rows = (await rowsOf(world, last)).map((row) => JSON.stringify(values(row)))
      expect(new Set(rows).size).toBe(rows.length)
      const written = table.history
        .flat()
        .flatMap((each) => (each.op === 'upsert' ? [JSON.stringify(values({ extra: null, ...each.row }))] : []))
      expect(written).toEqual(expect.arrayContaining(rows))
      expect(rows).toEqual(expect.arrayContaining(present(table).map((row) => JSON.stringify(row))))
    }),
    { numRuns, endOnFailure: true },
  )
})
