import { invariant } from '../core/errors.ts'
import { claimRun } from '../state/active-runs.ts'
import { listTaskSummaries, readRun, type StreamSummary, saveTaskSummary } from '../state/runs.ts'
import { EventLog } from '../sync/event-log.ts'
import { runStream, type StreamResult } from '../sync/run-stream.ts'
import { readPlan, type StreamPlan } from '../sync/task-plan.ts'
import { withConnection } from './connections.ts'
import type { RunKey } from './plan-tasks.ts'
import { type Project, pipelineNamed } from './project.ts'
import { redactedState } from './redacted-state.ts'
import { keeperOf, quarantineOf, runPorts, settingsOf, streamOpener } from './run.ts'

/** What a task says to whoever drives it. */
export interface TaskOutcome {
  status: 'done' | 'more' | 'retry' | 'failed'
  /** Tries in a row that came to nothing. */
  attempt: number
  retryAfterSeconds: number
}

const MAX_ATTEMPTS = 5

/** Works on the streams of one task, a few at a time, until they are done or the deadline comes. */
export async function runTask(
  project: Project,
  task: RunKey & { run: string; task: string; attempt: number; deadlineMs: number },
  signal: AbortSignal,
): Promise<TaskOutcome> {
  const { pipeline, execution, run } = task
  await claimRun(project, pipeline, execution)
  const spec = pipelineNamed(project, pipeline)
  const connection = spec.ingestion_definition.connection_name
  const planned = (await readPlan(project.storage, run)).find((plan) => plan.task === task.task)
  invariant(planned, `the plan of run ${run} has no task ${task.task}`)
  const { startedAtMs } = (await readRun(project.state, pipeline, run))!
  const before = new Map((await listTaskSummaries(project.state, run)).map((summary) => [summary.stream, summary]))
  const settings = settingsOf(spec)
  const state = redactedState(project.state, project.redactor)
  const tables = new Map(planned.streams.map(({ stream, table }) => [stream, table]))
  const events = new EventLog({ ...project, state }, { id: run, pipeline, connection }, tables)
  const waiting = planned.streams.filter(({ stream }) => !isBeyondRetry(before.get(stream)))
  const results: StreamResult[] = []
  await using ports = runPorts(project)

  await withConnection(project, connection, signal, async (connector, context) => {
    const open = streamOpener(connector, context, {
      owner: keeperOf(project, pipeline),
      tables: [...tables.values()],
      othersWait: planned.othersWait ?? false,
      settings,
    })
    const runOne = async ({ stream, table, fullRefresh }: StreamPlan) => {
      const ours = `${execution}/${stream}/`
      const earlier = before.get(stream)
      const result = await runStream(
        {
          pipeline,
          stream,
          table,
          open: () => open(table, (message) => events.progress({ kind: 'note', stream, message })),
          // The first task begins the copy; the others go on with it.
          fullRefresh: fullRefresh && earlier === undefined,
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
      )
      await saveTaskSummary(state, run, earlier ? added(earlier, result.summary) : result.summary, startedAtMs)
      results.push(result)
    }
    const workers = Array.from({ length: settings.streams }, async () => {
      for (let next = waiting.shift(); next; next = waiting.shift()) await runOne(next)
    })
    await Promise.all(workers)
  })
  await events.flush()
  return outcomeOf(results, task.attempt)
}

/** A stream that a person must see to is left alone by the tasks that go on with its neighbours. */
const isBeyondRetry = (summary: StreamSummary | undefined) =>
  summary?.state === 'FAILED' && summary.error?.remedy !== 'retry'

function outcomeOf(results: readonly StreamResult[], attemptsBefore: number): TaskOutcome {
  if (results.some(({ more }) => more)) return { status: 'more', attempt: 0, retryAfterSeconds: 0 }
  const failed = results.filter(({ summary }) => summary.error)
  if (failed.length === 0) return { status: 'done', attempt: 0, retryAfterSeconds: 0 }
  const attempt = failed.some(({ summary }) => summary.commits > 0) ? 1 : attemptsBefore + 1
  const again = failed.some(({ summary }) => summary.error!.remedy === 'retry') && attempt < MAX_ATTEMPTS
  return again
    ? { status: 'retry', attempt, retryAfterSeconds: Math.min(900, 15 * 2 ** attempt) }
    : { status: 'failed', attempt, retryAfterSeconds: 0 }
}

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
