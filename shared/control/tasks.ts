import { asIngestError, IngestError } from '../core/errors.ts'
import { tableNameText } from '../pipeline/resolve.ts'
import { claimRun, releaseRun } from '../state/active-runs.ts'
import {
  endedRun,
  listTaskSummaries,
  type Run,
  readRun,
  runId,
  type StreamSummary,
  saveRun,
  saveTaskSummary,
} from '../state/runs.ts'
import { EventLog } from '../sync/event-log.ts'
import { planPipeline } from '../sync/plan.ts'
import { runStream } from '../sync/run-stream.ts'
import { planPath, readPlan, writePlan } from '../sync/task-plan.ts'
import { withConnection } from './connections.ts'
import { type Project, pipelineNamed } from './project.ts'
import { redactedState } from './redacted-state.ts'
import { chosenTables, fullRefreshOf, keeperOf, quarantineOf, runPorts, settingsOf, streamOpener } from './run.ts'

/**
 * A run in pieces: `planTasks` once, `runTask` for each stream until it has no more, `finishTasks` once. Each is a
 * Lambda's worth of work and may be repeated; what one knows, the others read from the state store.
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

/** What a task says to whoever drives it. */
export interface TaskOutcome {
  status: 'done' | 'more' | 'retry' | 'failed'
  /** Tries in a row that came to nothing. */
  attempt: number
  retryAfterSeconds: number
}

const MAX_ATTEMPTS = 5

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
    const { tables, notes } = await withConnection(project, connection, signal, (connector, context) =>
      planPipeline(connector, context, spec),
    )
    const captured = tables.find(({ mode }) => mode === 'cdc')
    if (captured) throw noCapture(tableNameText(captured.destination))
    const chosen = request.refresh ? chosenTables(tables, request.refresh) : tables
    const again = fullRefreshOf(tables, request.fullRefresh)
    const plan = chosen.map((table) => {
      const stream = tableNameText(table.destination)
      return { stream, table, fullRefresh: again === 'all' || (again !== 'none' && again.has(stream)) }
    })
    await writePlan(project.storage, run.id, plan)
    await saveRun(state, run)
    const events = new EventLog({ ...project, state }, { ...run, connection }, new Map())
    events.update(run)
    for (const note of notes) events.note(note)
    await events.flush()
    return { status: 'planned', run: run.id, key: planPath(run.id) }
  } catch (cause) {
    const error = asIngestError(cause)
    await releaseRun(project, pipeline, execution)
    if (error.remedy === 'report') throw error
    await saveRun(state, { ...run, state: 'FAILED', endedAtMs: project.clock.now(), streams: [planFailure(error)] })
    return { status: 'failed', run: run.id }
  }
}

/** Works on one stream until it is done or the deadline comes. */
export async function runTask(
  project: Project,
  task: RunKey & { run: string; stream: string; attempt: number; deadlineMs: number },
  signal: AbortSignal,
): Promise<TaskOutcome> {
  const { pipeline, execution, run, stream } = task
  await claimRun(project, pipeline, execution)
  const spec = pipelineNamed(project, pipeline)
  const connection = spec.ingestion_definition.connection_name
  const { table, fullRefresh } = (await readPlan(project.storage, run)).find((entry) => entry.stream === stream)!
  const { startedAtMs } = (await readRun(project.state, pipeline, run))!
  const before = (await listTaskSummaries(project.state, run)).find((summary) => summary.stream === stream)
  const settings = settingsOf(spec)
  const ours = `${execution}/${stream}/`
  const state = redactedState(project.state, project.redactor)
  const events = new EventLog({ ...project, state }, { id: run, pipeline, connection }, new Map([[stream, table]]))
  await using ports = runPorts(project)

  const { summary, more } = await withConnection(project, connection, signal, (connector, context) =>
    runStream(
      {
        pipeline,
        stream,
        table,
        open: () => {
          const open = streamOpener(connector, context, keeperOf(project, pipeline), settings)
          return open(table, (message) => events.progress({ kind: 'note', stream, message }))
        },
        // The first task begins the copy; the others go on with it.
        fullRefresh: fullRefresh && before === undefined,
        settings,
        signal,
        deadlineMs: task.deadlineMs,
        runStartedAtMs: startedAtMs,
        report: (progress) => events.progress(progress),
        quarantine: quarantineOf(pipeline, table, run, ports),
      },
      { ...ports, state },
      {
        holder: { owner: `${ours}${project.random.uuid()}`, who: `run ${run}` },
        // One task of a stream runs at a time: an earlier one of this run that still holds the lease was killed.
        isDead: ({ owner }) => owner.startsWith(ours),
      },
    ),
  )
  await events.flush()
  await saveTaskSummary(state, run, before ? added(before, summary) : summary, startedAtMs)
  if (more) return { status: 'more', attempt: 0, retryAfterSeconds: 0 }
  if (!summary.error) return { status: 'done', attempt: 0, retryAfterSeconds: 0 }
  const attempt = summary.commits > 0 ? 1 : task.attempt + 1
  if (summary.error.remedy !== 'retry' || attempt >= MAX_ATTEMPTS)
    return { status: 'failed', attempt, retryAfterSeconds: 0 }
  return { status: 'retry', attempt, retryAfterSeconds: Math.min(900, 15 * 2 ** attempt) }
}

/** Sums up the run and lets the next one begin. */
export async function finishTasks(
  project: Pick<Project, 'state' | 'clock' | 'random' | 'storage'>,
  { pipeline, execution, run: id }: RunKey & { run: string },
): Promise<Run | undefined> {
  const run = await readRun(project.state, pipeline, id)
  if (run?.state !== 'RUNNING') return run
  const summaries = new Map((await listTaskSummaries(project.state, id)).map((summary) => [summary.stream, summary]))
  const streams = (await readPlan(project.storage, id)).map(({ stream }) => summaries.get(stream) ?? crashed(stream))
  const ended = endedRun(run, streams, project.clock.now())
  const events = new EventLog(project, { ...ended, connection: '' }, new Map())
  events.update(ended)
  await events.flush()
  await saveRun(project.state, ended)
  await releaseRun(project, pipeline, execution)
  return ended
}

/** A slot advances when one connection has acknowledged all its tables; tasks of one table each would hold the log for ever. */
const noCapture = (table: string) =>
  new IngestError(
    'config.invalid',
    `${table} would be read by change capture, which runs on one machine only so far; set connector_type: QUERY_BASED`,
  )

const nothing = { mode: 'none', rows: 0, bytes: 0, commits: 0, rejected: 0, durationMs: 0 } as const

const planFailure = ({ code, remedy, message }: { code: string; remedy: string; message: string }): StreamSummary => ({
  ...nothing,
  stream: '*',
  state: 'FAILED',
  error: { code, remedy, message },
})

const crashed = (stream: string): StreamSummary => ({
  ...nothing,
  stream,
  state: 'FAILED',
  error: {
    code: 'bug.invariant',
    remedy: 'report',
    message: 'its task ended without a result; see the log of the function',
  },
})

/** Two tasks of one stream as one. */
const added = (before: StreamSummary, now: StreamSummary): StreamSummary => ({
  ...now,
  mode: before.mode === 'full' ? 'full' : now.mode,
  rows: before.rows + now.rows,
  bytes: before.bytes + now.bytes,
  commits: before.commits + now.commits,
  rejected: before.rejected + now.rejected,
  durationMs: before.durationMs + now.durationMs,
})
