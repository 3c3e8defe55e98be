import { asIngestError, type IngestError } from '../core/errors.ts'
import { tableNameText } from '../pipeline/table-name.ts'
import { claimRun, releaseRun } from '../state/active-runs.ts'
import { idleStream, type Run, runId, type StreamSummary, saveRun } from '../state/runs.ts'
import { EventLog } from '../sync/event-log.ts'
import { planOf, planPath, writePlan } from '../sync/task-plan.ts'
import { withConnection } from './connections.ts'
import { type Project, pipelineNamed } from './project.ts'
import { redactedState } from './redacted-state.ts'
import { chosenTables, fullRefreshOf, leavesCaptured, planAndRelease, rememberTables } from './run.ts'

/**
 * A run in pieces: `planTasks` once, `runTask` for each task until it has no more, `finishTasks` once. Each is a Lambda's
 * worth of work and may be repeated; what one knows, the others read from the state store.
 */
export interface RunKey {
  pipeline: string
  /** Unique to the run and the same when a call is repeated. */
  execution: string
}

export type Planned =
  | { status: 'planned'; run: string; key: string }
  /** Another run of the pipeline is under way. */
  | { status: 'skipped'; run: string }
  | { status: 'failed'; run: string }

/** @throws what only we or AWS can mend; everything else is the run's own failure, and recorded */
export async function planTasks(
  project: Project,
  request: RunKey & { cause: string; fullRefresh?: 'all' | readonly string[]; refresh?: readonly string[] },
  signal: AbortSignal,
): Promise<Planned> {
  const { pipeline, execution } = request
  const run: Run = {
    id: runId(project.clock.now(), execution),
    pipeline,
    state: 'RUNNING',
    cause: request.cause,
    fullRefresh: request.fullRefresh !== undefined,
    startedAtMs: project.clock.now(),
    streams: [],
  }
  if (!(await claimRun(project, pipeline, execution))) return { status: 'skipped', run: run.id }
  const state = redactedState(project.state, project.redactor)
  try {
    const spec = pipelineNamed(project, pipeline)
    const connection = spec.ingestion_definition.connection_name
    const plan = await withConnection(project, connection, signal, (connector, context) =>
      planAndRelease(project, pipeline, connector, context),
    )
    const { tables, notes, changes } = plan
    const chosen = request.refresh ? chosenTables(tables, request.refresh) : tables
    const again = fullRefreshOf(tables, request.fullRefresh)
    const streams = chosen.map((table) => {
      const stream = tableNameText(table.destination)
      return { stream, table, fullRefresh: again === 'all' || (again !== 'none' && again.has(stream)) }
    })
    await writePlan(project.storage, run.id, planOf(streams, leavesCaptured(tables, chosen)))
    await saveRun(state, run)
    const events = new EventLog({ ...project, state }, { ...run, connection }, new Map())
    events.update(run)
    for (const note of notes) events.note(note)
    for (const change of changes) events.progress({ kind: 'schema_change', ...change })
    await events.flush()
    await rememberTables(project, pipeline, plan)
    return { status: 'planned', run: run.id, key: planPath(run.id) }
  } catch (cause) {
    const error = asIngestError(cause)
    await releaseRun(project, pipeline, execution)
    if (error.remedy === 'report') throw error
    await saveRun(state, { ...run, state: 'FAILED', endedAtMs: project.clock.now(), streams: [planFailure(error)] })
    return { status: 'failed', run: run.id }
  }
}

const planFailure = ({ code, remedy, message }: IngestError): StreamSummary =>
  idleStream('*', 'FAILED', { code, remedy, message })
