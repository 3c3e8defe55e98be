import { IngestError } from '../core/errors.ts'
import { type Engine, openEngine } from '../load/engine.ts'
import { appendQuarantine } from '../load/quarantine.ts'
import { didYouMean } from '../pipeline/nearest.ts'
import { type ResolvedTable, tableNameText } from '../pipeline/resolve.ts'
import type { Run } from '../state/runs.ts'
import { planPipeline, selectionOf } from '../sync/plan.ts'
import type { Report } from '../sync/progress.ts'
import { runPipeline } from '../sync/run-pipeline.ts'
import type { Runner } from '../sync/run-stream.ts'
import { defaultSettings, type SyncSettings } from '../sync/settings.ts'
import type { SyncPorts } from '../sync/stream-run.ts'
import { withConnection } from './connections.ts'
import { type Project, pipelineNamed } from './project.ts'
import { redactedState } from './redacted-state.ts'

/** What a pipeline would read and where it would go. */
export interface Plan {
  tables: readonly ResolvedTable[]
  /** What was decided for the user. */
  notes: readonly string[]
}

export interface RunRequest {
  pipeline: string
  /** Tables to copy again, by destination name (`orders`, `shop.orders`, `main.shop.orders`). */
  fullRefresh?: 'all' | readonly string[]
  /** Only these tables. */
  refresh?: readonly string[]
  /** As Databricks names it: USER_ACTION, JOB_TASK, API_CALL. */
  cause: string
  runner: Runner
  signal: AbortSignal
  deadlineMs?: number
  report?: Report
  onPlan?: (plan: Plan) => void
}

/** Connects, discovers and lays the spec over it, and changes nothing. Throws what a run would throw. */
export async function validatePipeline(project: Project, name: string, signal: AbortSignal): Promise<Plan> {
  const spec = pipelineNamed(project, name)
  return withConnection(project, spec.ingestion_definition.connection_name, signal, (connector, context) =>
    planPipeline(connector, context, spec),
  )
}

/**
 * One update of a pipeline, to its end. Streams that fail are in the result; what stops the whole run is thrown.
 *
 * @throws IngestError of the configuration or the source when the run cannot begin, `usage.invalid` (fix) for a table
 * that the pipeline does not have
 */
export async function runNow(project: Project, request: RunRequest): Promise<Run> {
  const spec = pipelineNamed(project, request.pipeline)
  const connection = spec.ingestion_definition.connection_name
  let engine: Promise<Engine> | undefined
  const ports: SyncPorts = {
    storage: project.storage,
    state: redactedState(project.state, project.redactor),
    clock: project.clock,
    random: project.random,
    engine: () => {
      engine ??= openEngine({ scratch: project.scratch })
      return engine
    },
  }
  try {
    return await withConnection(project, connection, request.signal, async (connector, context) => {
      const plan = await planPipeline(connector, context, spec)
      const fullRefresh =
        request.fullRefresh === undefined || request.fullRefresh === 'all'
          ? (request.fullRefresh ?? 'none')
          : new Set(chosen(plan.tables, request.fullRefresh).map((table) => tableNameText(table.destination)))
      const tables = request.refresh ? chosen(plan.tables, request.refresh) : plan.tables
      request.onPlan?.({ ...plan, tables })
      const settings: Partial<SyncSettings> = {
        ...(spec.parallelism !== undefined && { streams: spec.parallelism }),
        ...(spec.max_quarantined_rows !== undefined && { quarantineLimit: spec.max_quarantined_rows }),
      }
      const owner = request.pipeline
      // What a source keeps for a pipeline is its own, also beside one of the same name in another lakehouse.
      const keeper = `${owner}@${project.storage.url}`
      const captured = plan.tables.filter((table) => table.mode === 'cdc')
      await connector.release?.(
        context,
        keeper,
        captured.map((table) => table.source),
      )
      const parallelism = settings.pieces ?? defaultSettings.pieces
      return await runPipeline(
        {
          pipeline: request.pipeline,
          connection,
          tables,
          notes: plan.notes,
          open: (table, notice) =>
            connector.open(context, table.source, selectionOf(table, { owner: keeper, parallelism, notice })),
          fullRefresh,
          cause: request.cause,
          settings,
          signal: request.signal,
          ...(request.deadlineMs !== undefined && { deadlineMs: request.deadlineMs }),
          ...(request.report && { report: request.report }),
          quarantine:
            ({ destination }, runId) =>
            (rows) =>
              appendQuarantine(
                destination,
                rows,
                { runId, owner: `lakeflow/${owner}/${tableNameText(destination)}` },
                ports,
              ),
        },
        ports,
        request.runner,
      )
    })
  } finally {
    // A failed opening was told to whoever asked for the engine.
    const opened = await engine?.catch(() => undefined)
    opened?.close()
  }
}

/** Tables by the names of their destinations, as short as is clear. */
function chosen(tables: readonly ResolvedTable[], names: readonly string[]): ResolvedTable[] {
  return names.map((name) => {
    const wanted = name.toLowerCase()
    const found = tables.filter(({ destination }) => {
      const full = tableNameText(destination).toLowerCase()
      return full === wanted || full.endsWith(`.${wanted}`)
    })
    if (found.length === 1) return found[0]!
    const all = tables.map((table) => tableNameText(table.destination))
    const problem = found.length > 1 ? `more than one table is called ${name}` : `the pipeline has no table ${name}`
    const hint =
      didYouMean(
        name,
        tables.map((table) => table.destination.table),
      ) || `; it has ${all.join(', ')}`
    throw new IngestError('usage.invalid', problem + hint)
  })
}
