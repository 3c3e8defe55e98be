import type { Connector } from '../../shared/connector/connector.ts'
import { postgres } from '../../shared/connectors/postgres/postgres.ts'
import { systemClock } from '../../shared/core/clock.ts'
import { systemRandom } from '../../shared/core/random.ts'
import { sqliteState } from '../../shared/state/sqlite.ts'
import { diskStorage } from '../../shared/storage/disk.ts'
import { planPipeline, selectionOf } from '../../shared/sync/plan.ts'
import { runPipeline } from '../../shared/sync/run-pipeline.ts'

// One run of a pipeline with one table, from nothing; the process's whole time and memory are its own.
const url = new URL(process.argv[2]!)
const folder = process.argv[3]!
const startedAt = performance.now()
const connector = postgres as unknown as Connector
const signal = new AbortController().signal
const config = connector.config.parse({
  host: url.hostname,
  port: Number(url.port),
  database: url.pathname.slice(1),
  user: url.username,
  password: url.password,
  sslmode: 'disable',
})
const context = await connector.connect(config, { clock: systemClock, signal })
const object = { table: { source_schema: 'public', source_table: 'lineitem' } }
const { tables } = await planPipeline(connector, context, {
  ingestion_definition: { connection_name: 'bench', objects: [object] },
} as never)
const state = sqliteState(`${folder}.db`)
const run = await runPipeline(
  {
    pipeline: 'bench',
    connection: 'bench',
    tables: tables.map((table) => ({ ...table, mode: 'snapshot', cursorColumns: [] })),
    open: (table) => connector.open(context, table.source, selectionOf(table, { owner: 'bench', parallelism: 2 })),
    fullRefresh: 'none',
    cause: 'USER_ACTION',
    signal,
    settings: { pieces: Number(process.env.BENCH_PIECES ?? 2) },
  },
  {
    storage: diskStorage(folder),
    state,
    clock: systemClock,
    random: systemRandom,
    engine: () => Promise.reject(new Error('a full copy needs no engine')),
  },
  { holder: { owner: 'bench', who: 'bench' } },
)
await connector.close(context)
await state.close()
if (run.state !== 'COMPLETED') throw new Error(JSON.stringify(run.streams))
const wallSeconds = (performance.now() - startedAt) / 1000
const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage()
console.log(JSON.stringify({ wallSeconds, cpuSeconds: (userCPUTime + systemCPUTime) / 1e6, peakRssMb: maxRSS / 1024 }))
