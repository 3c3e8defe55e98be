import type { Captured, Connector } from '../connector/connector.ts'
import { IngestError } from '../core/errors.ts'
import { type Engine, openEngine } from '../load/engine.ts'
import { appendQuarantine } from '../load/quarantine.ts'
import { didYouMean } from '../pipeline/nearest.ts'
import type { ResolvedTable } from '../pipeline/resolve.ts'
import type { PipelineSpec } from '../pipeline/spec.ts'
import { tableNameText } from '../pipeline/table-name.ts'
import { readKnownTables, saveKnownTables } from '../state/known-tables.ts'
import type { Run } from '../state/runs.ts'
import { changeText } from '../sync/event-log.ts'
import { markGone } from '../sync/mark-gone.ts'
import { planPipeline, selectionOf } from '../sync/plan.ts'
import type { Report } from '../sync/progress.ts'
import { type PipelineUpdate, runPipeline } from '../sync/run-pipeline.ts'
import type { Runner } from '../sync/run-stream.ts'
import { defaultSettings, type SyncSettings } from '../sync/settings.ts'
import type { StreamTask, SyncPorts } from '../sync/stream-run.ts'
import type { TablePlan } from '../sync/table-drift.ts'
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
  const { ingestion_definition } = pipelineNamed(project, name)
  return withConnection(project, ingestion_definition.connection_name, signal, (connector, context) =>
    knownPlan(project, name, connector, context),
  )
}

/**
 * One update of a pipeline, to its end. Streams that fail are in the result; what stops the whole run is thrown.
 *
 * @throws IngestError of the configuration or the source when the run cannot begin, `usage.invalid` (fix) for a table
 * that the pipeline does not have
 */
export async function runNow(project: Project, request: RunRequest): Promise<Run> {
  const { pipeline, cause, signal, deadlineMs, report } = request
  const spec = pipelineNamed(project, pipeline)
  const connection = spec.ingestion_definition.connection_name
  await using ports = runPorts(project)
  return withConnection(project, connection, signal, async (connector, context) => {
    const plan = await planAndRelease(project, pipeline, connector, context)
    const fullRefresh = fullRefreshOf(plan.tables, request.fullRefresh)
    const tables = request.refresh ? chosenTables(plan.tables, request.refresh) : plan.tables
    request.onPlan?.({ notes: [...plan.notes, ...plan.changes.map(({ change }) => changeText(change))], tables })
    const settings = settingsOf(spec)
    const update: PipelineUpdate = {
      pipeline,
      connection,
      tables,
      notes: plan.notes,
      changes: plan.changes,
      open: streamOpener(connector, context, {
        owner: keeperOf(project, pipeline),
        tables,
        othersWait: leavesCaptured(plan.tables, tables),
        settings,
      }),
      fullRefresh,
      cause,
      settings,
      signal,
      ...(deadlineMs !== undefined && { deadlineMs }),
      ...(report && { report }),
      quarantine: (table, runId) => quarantineOf(pipeline, table, runId, ports),
    }
    const run = await runPipeline(update, ports, request.runner)
    await rememberTables(project, pipeline, plan)
    return run
  })
}

/** Plans a run, and lets go of what the source keeps for tables that the pipeline captures no more. */
export async function planAndRelease(
  project: Project,
  pipeline: string,
  connector: Connector,
  context: unknown,
): Promise<TablePlan> {
  const plan = await knownPlan(project, pipeline, connector, context)
  await connector.release?.(context, keeperOf(project, pipeline), capturedOf(plan.tables))
  return plan
}

/** What a pipeline reads, and how that differs from what it read before. */
export async function knownPlan(project: Project, pipeline: string, connector: Connector, context: unknown) {
  const known = await readKnownTables(project.state, pipeline)
  const before = { ...(known && { known }), nowMs: project.clock.now() }
  return planPipeline(connector, context, pipelineNamed(project, pipeline), before)
}

/** Comes after the events: a run that dies in between tells of the same changes once more. */
export async function rememberTables(project: Project, pipeline: string, { changes, known }: TablePlan): Promise<void> {
  await markGone(
    known,
    changes.map(({ stream }) => stream),
    project,
  )
  await saveKnownTables(project.state, pipeline, known)
}

/** What the sync engine stands on; dispose of it when the run has ended. The merge engine opens when it is first needed. */
export function runPorts(project: Project): SyncPorts & AsyncDisposable {
  let engine: Promise<Engine> | undefined
  return {
    storage: project.storage,
    state: redactedState(project.state, project.redactor),
    clock: project.clock,
    random: project.random,
    engine: () => {
      engine ??= openEngine({ scratch: project.scratch })
      return engine
    },
    async [Symbol.asyncDispose]() {
      // A failed opening was told to whoever asked for the engine.
      const opened = await engine?.catch(() => undefined)
      opened?.close()
    },
  }
}

/** What a source keeps for a pipeline is its own, also beside one of the same name in another lakehouse. */
export const keeperOf = ({ storage }: Pick<Project, 'storage'>, pipeline: string) => `${pipeline}@${storage.url}`

/** What a pipeline's spec says of how it is synced. */
export const settingsOf = (spec: PipelineSpec): SyncSettings => ({
  ...defaultSettings,
  ...(spec.parallelism !== undefined && { streams: spec.parallelism }),
  ...(spec.max_quarantined_rows !== undefined && { quarantineLimit: spec.max_quarantined_rows }),
})

/** Opens the source's stream of a table, as the pipeline chose it. */
export const streamOpener =
  (
    connector: Connector,
    context: unknown,
    { owner, tables, othersWait, settings }: OpenRequest,
  ): PipelineUpdate['open'] =>
  (table, notice) =>
    connector.open(
      context,
      table.source,
      selectionOf(table, { owner, parallelism: settings.pieces, captured: capturedOf(tables), othersWait, notice }),
    )

interface OpenRequest {
  owner: string
  /** What the run reads. */
  tables: readonly ResolvedTable[]
  /** The pipeline captures more than that. */
  othersWait: boolean
  settings: SyncSettings
}

const capturedOf = (tables: readonly ResolvedTable[]): Captured[] =>
  tables
    .filter(({ mode }) => mode === 'cdc')
    .map(({ source: { schema, name }, destination }) => ({ schema, name, reader: tableNameText(destination) }))

/** Whether a run of the chosen tables leaves captured ones waiting in the log that they share. */
export const leavesCaptured = (all: readonly ResolvedTable[], chosen: readonly ResolvedTable[]) =>
  capturedOf(chosen).length < capturedOf(all).length

/** Where rows of a table that do not fit are set aside. */
export const quarantineOf =
  (
    pipeline: string,
    { destination }: ResolvedTable,
    runId: string,
    ports: SyncPorts,
  ): NonNullable<StreamTask['quarantine']> =>
  (rows, place) =>
    appendQuarantine(
      destination,
      rows,
      { runId, place, owner: `lakeflow/${pipeline}/${tableNameText(destination)}` },
      ports,
    )

/** @throws IngestError `usage.invalid` (fix) for a table that the pipeline does not have */
export function fullRefreshOf(
  tables: readonly ResolvedTable[],
  asked: 'all' | readonly string[] | undefined,
): PipelineUpdate['fullRefresh'] {
  if (asked === undefined || asked === 'all') return asked ?? 'none'
  return new Set(chosenTables(tables, asked).map((table) => tableNameText(table.destination)))
}

/** Tables by the names of their destinations, as short as is clear. @throws IngestError `usage.invalid` (fix) */
export function chosenTables(tables: readonly ResolvedTable[], names: readonly string[]): ResolvedTable[] {
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
