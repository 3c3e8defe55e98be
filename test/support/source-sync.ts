import { join } from 'node:path'
import type { Connector, ReadMode } from '../../shared/connector/connector.ts'
import { connectors } from '../../shared/connectors/registry.ts'
import { leavesCaptured, streamOpener } from '../../shared/control/run.ts'
import { systemClock } from '../../shared/core/clock.ts'
import { systemRandom } from '../../shared/core/random.ts'
import { readSnapshot } from '../../shared/delta/snapshot.ts'
import { tableRoot } from '../../shared/delta/table-root.ts'
import { openEngine } from '../../shared/load/engine.ts'
import type { ResolvedTable } from '../../shared/pipeline/resolve.ts'
import type { Run } from '../../shared/state/runs.ts'
import { sqliteState } from '../../shared/state/sqlite.ts'
import { diskStorage } from '../../shared/storage/disk.ts'
import { type Comparison, compareTable } from '../../shared/sync/compare.ts'
import { planPipeline, selectionOf } from '../../shared/sync/plan.ts'
import { type PipelineUpdate, runPipeline } from '../../shared/sync/run-pipeline.ts'
import { defaultSettings } from '../../shared/sync/settings.ts'

/** A pipeline from one database to a lakehouse on disk, as plain values: what a child process is given. */
export interface SourceSync {
  /** Name of the connector. Default `postgres`. */
  type?: string
  config: Record<string, unknown>
  folder: string
  /** `ingestion_definition` without the connection. */
  objects: readonly object[]
  /** What else stands there. */
  definition?: object
  /** Tables that are read another way than the pipeline would choose. */
  modes?: Readonly<Record<string, ReadMode>>
  /** Only these destination tables are read. */
  refresh?: readonly string[]
}

const RUN = { owner: 'shop', parallelism: 2 }

/** Opens everything, does some work on the pipeline, and closes everything. */
async function withSync<T>(
  sync: SourceSync,
  work: (opened: Awaited<ReturnType<typeof open>>) => Promise<T>,
): Promise<T> {
  const opened = await open(sync)
  try {
    return await work(opened)
  } finally {
    await opened.connector.close(opened.context)
    opened.engine.close()
    await opened.state.close()
  }
}

async function open({ type = 'postgres', config, folder, objects, definition, modes = {}, refresh }: SourceSync) {
  const connector = connectors.find(({ name }) => name === type) as Connector
  const signal = new AbortController().signal
  const context = await connector.connect(connector.config.parse(config), { clock: systemClock, signal })
  const spec = {
    ingestion_definition: {
      connection_name: 'shop',
      objects,
      ...definition,
    },
  }
  const plan = await planPipeline(connector, context, spec as never)
  const all = plan.tables.map((table) => ({ ...table, mode: modes[table.source.name] ?? table.mode }))
  const tables = all.filter(({ destination }) => refresh?.includes(destination.table) ?? true)
  return {
    connector,
    context,
    signal,
    tables,
    othersWait: leavesCaptured(all, tables),
    storage: diskStorage(folder),
    state: sqliteState(join(folder, '.lakeflow', 'state.db')),
    engine: await openEngine({ scratch: join(folder, '.lakeflow', `scratch-${process.pid}`) }),
  }
}

/** One run of the pipeline. A process that was killed is known to be dead, so nobody waits for its lease. */
export function runSync(sync: SourceSync, more: Partial<PipelineUpdate> = {}): Promise<Run> {
  return withSync(sync, ({ connector, context, signal, tables, othersWait, storage, state, engine }) => {
    const settings = { ...defaultSettings, pieces: RUN.parallelism }
    return runPipeline(
      {
        pipeline: 'shop',
        connection: 'shop',
        tables,
        open: streamOpener(connector, context, { owner: RUN.owner, tables, othersWait, settings }),
        fullRefresh: 'none',
        cause: 'USER_ACTION',
        signal,
        ...more,
      },
      { storage, state, clock: systemClock, random: systemRandom, engine: async () => engine },
      { holder: { owner: `${process.pid}/${systemRandom.uuid()}`, who: `process ${process.pid}` }, isDead },
    )
  })
}

function isDead({ owner }: { owner: string }): boolean {
  try {
    process.kill(Number(owner.split('/')[0]), 0)
    return false
  } catch {
    return true
  }
}

/** Every table of the pipeline against its source, value by value. */
export function compareSync(sync: SourceSync): Promise<(Comparison & { table: string })[]> {
  return withSync(sync, async ({ connector, context, tables, storage, engine }) => {
    const compared = []
    for (const table of tables) {
      const whole: ResolvedTable = { ...table, mode: 'snapshot', cursorColumns: [] }
      const stream = await connector.open(context, table.source, selectionOf(whole, RUN))
      const snapshot = await readSnapshot(storage, tableRoot(table.destination))
      if (!snapshot) throw new Error(`there is no table ${tableRoot(table.destination)}`)
      compared.push({ ...(await compareTable(stream, snapshot, { storage, engine })), table: table.destination.table })
    }
    return compared as never
  })
}
