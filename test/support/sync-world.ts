import type { Clock } from '../../shared/core/clock.ts'
import type { Random } from '../../shared/core/random.ts'
import type { Engine } from '../../shared/load/engine.ts'
import type { ResolvedTable } from '../../shared/pipeline/resolve.ts'
import { tableNameText } from '../../shared/pipeline/table-name.ts'
import { memoryState } from '../../shared/state/memory.ts'
import type { Run } from '../../shared/state/runs.ts'
import type { StateStore } from '../../shared/state/state-store.ts'
import { memoryStorage } from '../../shared/storage/memory.ts'
import type { Storage } from '../../shared/storage/storage.ts'
import { selectionOf } from '../../shared/sync/plan.ts'
import type { SyncProgress } from '../../shared/sync/progress.ts'
import { type PipelineUpdate, runPipeline } from '../../shared/sync/run-pipeline.ts'
import { seededRandom } from './delta.ts'
import { tableRows } from './read-table.ts'
import { describe, ScriptedSource, scripted } from './scripted-source.ts'

/** Time that moves a millisecond a look, and as far as it must when someone waits. */
export function leapingClock(startMs = Date.UTC(2026, 0, 1)): Clock & { slept: number[] } {
  let now = startMs
  const slept: number[] = []
  return {
    slept,
    now: () => ++now,
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        signal?.throwIfAborted()
        // Renewals of a lease wait in the background: they must not make the clock race.
        if (signal && ms >= 10_000) return signal.addEventListener('abort', () => reject(signal.reason), { once: true })
        slept.push(ms)
        now += ms
        setImmediate(resolve)
      }),
  }
}

export interface World {
  source: ScriptedSource
  storage: Storage
  state: StateStore
  clock: ReturnType<typeof leapingClock>
}

export function newWorld(): World {
  const clock = leapingClock()
  return { source: new ScriptedSource(), storage: memoryStorage(), state: memoryState({ clock }), clock }
}

/** A table of the scripted source as a pipeline resolves it: to `main.shop.<name>`. */
export function resolved(source: ScriptedSource, name: string, more: Partial<ResolvedTable> = {}): ResolvedTable {
  const table = describe(name, source.tables.get(name)!)
  return {
    source: table,
    destination: { catalog: 'main', schema: 'shop', table: name },
    columns: table.columns.fields.map((field) => field.name),
    followsNewColumns: true,
    key: table.key,
    sequenceBy: [],
    cursorColumns: [],
    scdType: 'APPEND_ONLY',
    mode: 'query',
    clusteringColumns: [],
    tableProperties: {},
    ...more,
  }
}

let processes = 0

/** One process: runs the pipeline `shop` over the world's ports, or over the faulty ones given. */
export async function runShop(
  world: World,
  tables: readonly ResolvedTable[],
  more: Partial<PipelineUpdate> & { ports?: Partial<World>; random?: Random; engine?: () => Promise<Engine> } = {},
): Promise<Run & { told: SyncProgress[] }> {
  const { ports, random, engine, ...update } = more
  const { source, storage, state, clock } = { ...world, ...ports }
  const n = ++processes
  const signal = update.signal ?? new AbortController().signal
  const ctx = await scripted.connect(source, { clock, signal })
  const told: SyncProgress[] = []
  const run = await runPipeline(
    {
      pipeline: 'shop',
      connection: 'scripted',
      tables,
      open: (table, notice) =>
        scripted.open(ctx, table.source, selectionOf(table, { owner: 'shop', parallelism: 2, notice })),
      fullRefresh: 'none',
      cause: 'USER_ACTION',
      signal,
      report: (progress) => told.push(progress),
      ...update,
    },
    {
      storage,
      state,
      clock,
      random: random ?? seededRandom(n),
      engine: engine ?? (() => Promise.reject(new Error('no engine in this test'))),
    },
    { holder: { owner: `process ${n}`, who: `process ${n}` } },
  )
  return { ...run, told }
}

/** The table's rows, sorted by id. */
export async function destinationRows(world: World, table: ResolvedTable): Promise<Record<string, unknown>[]> {
  const rows = await tableRows(world.storage, tableNameText(table.destination).replaceAll('.', '/'))
  return rows.sort((a, b) => Number(a.id) - Number(b.id))
}
