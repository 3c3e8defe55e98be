import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Connector } from '../../shared/connector/connector.ts'
import { type Clock, systemClock } from '../../shared/core/clock.ts'
import { systemRandom } from '../../shared/core/random.ts'
import { openEngine } from '../../shared/load/engine.ts'
import { memoryState } from '../../shared/state/memory.ts'
import type { Run } from '../../shared/state/runs.ts'
import { diskStorage } from '../../shared/storage/disk.ts'
import { planPipeline, selectionOf } from '../../shared/sync/plan.ts'
import { type PipelineUpdate, runPipeline } from '../../shared/sync/run-pipeline.ts'

/** A lakehouse in a folder of its own, and a pipeline from one source into it. */
export interface SourceSync extends AsyncDisposable {
  storage: ReturnType<typeof diskStorage>
  /** One run, as a process of its own would do it: everything is opened anew. */
  run(more?: Partial<PipelineUpdate>): Promise<Run>
}

/** `objects` of the pipeline's `ingestion_definition`. */
export async function syncSource(
  connector: Connector,
  settings: unknown,
  objects: readonly object[],
  clock: Clock = systemClock,
): Promise<SourceSync> {
  const folder = mkdtempSync(join(tmpdir(), 'sync-source-'))
  const storage = diskStorage(join(folder, 'lakehouse'))
  const state = memoryState({ clock: systemClock })
  const engine = await openEngine({ scratch: join(folder, 'scratch') })
  let runs = 0
  return {
    storage,
    async run(more = {}) {
      const { signal } = new AbortController()
      const context = await connector.connect(connector.config.parse(settings), { clock, signal })
      const spec = { ingestion_definition: { connection_name: 'source', objects } }
      const { tables } = await planPipeline(connector, context, spec as never)
      const owner = `run ${++runs}`
      try {
        return await runPipeline(
          {
            pipeline: 'copy',
            connection: 'source',
            tables,
            open: (table, notice) =>
              connector.open(context, table.source, selectionOf(table, { owner: 'copy', parallelism: 2, notice })),
            fullRefresh: 'none',
            cause: 'USER_ACTION',
            signal,
            ...more,
          },
          { storage, state, clock: systemClock, random: systemRandom, engine: async () => engine },
          { holder: { owner, who: owner }, isDead: () => true },
        )
      } finally {
        await connector.close(context)
      }
    },
    async [Symbol.asyncDispose]() {
      engine.close()
      await state.close()
      rmSync(folder, { recursive: true })
    },
  }
}
