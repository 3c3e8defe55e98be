import { releaseRun } from '../state/active-runs.ts'
import {
  endedRun,
  idleStream,
  listTaskSummaries,
  type Run,
  readRun,
  type StreamSummary,
  saveRun,
} from '../state/runs.ts'
import { EventLog } from '../sync/event-log.ts'
import { readPlan } from '../sync/task-plan.ts'
import type { RunKey } from './plan-tasks.ts'
import type { Project } from './project.ts'

/** Sums up the run and lets the next one begin. Undefined: there is no such run. */
export async function finishTasks(
  project: Pick<Project, 'state' | 'clock' | 'random' | 'storage'>,
  { pipeline, execution, run: id }: RunKey & { run: string },
): Promise<Run | undefined> {
  const run = await readRun(project.state, pipeline, id)
  if (run?.state !== 'RUNNING') return run
  const summaries = new Map((await listTaskSummaries(project.state, id)).map((summary) => [summary.stream, summary]))
  const planned = (await readPlan(project.storage, id)).flatMap(({ streams }) => streams)
  const streams = planned.map(({ stream }) => summaries.get(stream) ?? crashed(stream))
  const ended = endedRun(run, streams, project.clock.now())
  const events = new EventLog(project, { ...ended, connection: '' }, new Map())
  events.update(ended)
  await events.flush()
  await saveRun(project.state, ended)
  await releaseRun(project, pipeline, execution)
  return ended
}

const crashed = (stream: string): StreamSummary =>
  idleStream(stream, 'FAILED', {
    code: 'bug.invariant',
    remedy: 'report',
    message: 'its task ended without a result; see the log of the function',
  })
