import { createInterface } from 'node:readline'
import type { Connector } from '../../shared/connector/connector.ts'
import { connectors } from '../../shared/connectors/registry.ts'
import { systemClock } from '../../shared/core/clock.ts'
import { systemRandom } from '../../shared/core/random.ts'
import { openEngine } from '../../shared/load/engine.ts'
import { sqliteState } from '../../shared/state/sqlite.ts'
import { diskStorage } from '../../shared/storage/disk.ts'
import { planPipeline, selectionOf } from '../../shared/sync/plan.ts'
import { runPipeline } from '../../shared/sync/run-pipeline.ts'

// Syncs into an SCD1 table, once for each line of its input, and prints what it took.
const [type, settings, schema, folder] = process.argv.slice(2) as [string, string, string, string]
const connector = connectors.find(({ name }) => name === type) as Connector
const signal = new AbortController().signal
const config = connector.config.parse(JSON.parse(settings))
const context = await connector.connect(config, { clock: systemClock, signal })
const object = { table: { source_schema: schema, source_table: 'events' } }
const { tables } = await planPipeline(connector, context, {
  ingestion_definition: { connection_name: 'bench', objects: [object] },
} as never)
const state = sqliteState(`${folder}/state.db`)
const engine = await openEngine({ scratch: `${folder}/scratch` })

async function sync(): Promise<number> {
  const run = await runPipeline(
    {
      pipeline: 'bench',
      connection: 'bench',
      tables,
      open: (table) => connector.open(context, table.source, selectionOf(table, { owner: 'bench', parallelism: 1 })),
      fullRefresh: 'none',
      cause: 'USER_ACTION',
      signal,
    },
    {
      storage: diskStorage(`${folder}/lakehouse`),
      state,
      clock: systemClock,
      random: systemRandom,
      engine: async () => engine,
    },
    { holder: { owner: 'bench', who: 'bench' } },
  )
  if (run.state !== 'COMPLETED') throw new Error(JSON.stringify(run.streams))
  return run.streams[0]!.rows
}

for await (const _ of createInterface({ input: process.stdin })) {
  const startedAt = performance.now()
  const before = process.cpuUsage()
  const changes = await sync()
  const { user, system } = process.cpuUsage(before)
  const told = {
    changes,
    wallSeconds: (performance.now() - startedAt) / 1000,
    cpuSeconds: (user + system) / 1e6,
    peakRssMb: process.resourceUsage().maxRSS / 1024,
    atMs: Date.now(),
  }
  console.log(JSON.stringify(told))
}
await connector.close(context)
engine.close()
await state.close()
