import { expect } from '@jest/globals'
import { readSnapshot } from '../../shared/delta/snapshot.ts'
import type { Engine } from '../../shared/load/engine.ts'
import { readTableSql } from '../../shared/load/read-table.ts'
import type { ResolvedTable } from '../../shared/pipeline/resolve.ts'
import { crashAt } from './crash.ts'
import { column } from './delta.ts'
import { faultyState } from './faulty-state.ts'
import { faultyStorage } from './faulty-storage.ts'
import type { ScriptedTable } from './scripted-source.ts'
import { destinationRows, newWorld, resolved, runShop, type World } from './sync-world.ts'

/** The keys of a model's table. */
export const IDS = [1, 2, 3, 4]
/** Its columns; it may get `extra` too. */
export const columns = [column('id'), column('seq'), column('name', 'string')]
const LEASE_MS = 30_000

/** What happens at the source between two runs, and how the second of them goes. */
export interface Step<Event> {
  changes: Event[]
  /** The source gets the column `extra`. */
  grows: boolean
  /** Changes that happen while the run reads, before its n-th message. */
  meanwhile: Event[]
  at: number
  fullRefresh: boolean
  /** The run dies at this await of a port; beyond its end it does not. */
  crash: number
}

/** Plays the steps: in each the source goes on, a run dies, and another one ends the work. */
export async function play<Event>(
  steps: Step<Event>[],
  more: Partial<ResolvedTable>,
  engine: Engine,
  happen: (table: ScriptedTable, event: Event) => void,
  sequence?: string,
): Promise<{ world: World; table: ScriptedTable; last: ResolvedTable }> {
  const world = newWorld()
  const table = world.source.table('orders', { fields: columns })
  if (sequence !== undefined) table.sequence = sequence
  const options = { engine: async () => engine, settings: { commitBytes: 1, leaseMs: LEASE_MS } }
  let last: ResolvedTable = resolved(world.source, 'orders', more)
  for (const step of [
    ...steps,
    { changes: [], grows: false, meanwhile: [], at: 1, fullRefresh: false, crash: Infinity },
  ]) {
    if (step.grows) table.schema = { fields: [...columns, column('extra', 'string')] }
    for (const each of step.changes) happen(table, each)
    let messages = 0
    world.source.beforeMessage = () => {
      if (++messages === step.at) for (const each of step.meanwhile) happen(table, each)
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

/** All rows by key and version, by the embedded engine; hyparquet has to read the same. */
export async function rowsOf(engine: Engine, world: World, table: ResolvedTable): Promise<Record<string, unknown>[]> {
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
