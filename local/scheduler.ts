import type { Project } from '../shared/control/project.ts'
import { runNow } from '../shared/control/run.ts'
import { asIngestError, type IngestError } from '../shared/core/errors.ts'
import { type Schedule, scheduleOf } from '../shared/pipeline/schedule.ts'
import { listRuns, type Run } from '../shared/state/runs.ts'
import type { SyncProgress } from '../shared/sync/progress.ts'
import { isDeadHere, thisHolder } from './holder.ts'

export interface SchedulerEvents {
  onNext?(pipeline: string, atMs: number): void
  onStart?(pipeline: string): void
  onNote?(pipeline: string, note: string): void
  onProgress?(pipeline: string, progress: SyncProgress): void
  onEnd?(pipeline: string, run: Run): void
  /** The run could not begin. The next one is tried at its time. */
  onError?(pipeline: string, error: IngestError): void
}

/** Pipelines of the project that run by themselves. */
export function scheduledPipelines(project: Pick<Project, 'spec'>): Map<string, Schedule> {
  const found = Object.entries(project.spec.pipelines ?? {}).map(([name, spec]) => [name, scheduleOf(spec)] as const)
  return new Map(found.filter((entry): entry is readonly [string, Schedule] => entry[1] !== undefined))
}

/** Runs every scheduled pipeline at its times until the signal aborts. A run never overlaps the one before it. */
export async function runScheduler(project: Project, signal: AbortSignal, events: SchedulerEvents): Promise<void> {
  await Promise.all(
    [...scheduledPipelines(project)].map(([name, schedule]) => runOne(project, name, schedule, signal, events)),
  )
}

async function runOne(
  project: Project,
  pipeline: string,
  schedule: Schedule,
  signal: AbortSignal,
  events: SchedulerEvents,
) {
  const { clock } = project
  const [last] = await listRuns(project.state, pipeline, 1)
  let nextMs = schedule.next(clock.now(), last?.startedAtMs)
  while (nextMs !== undefined && !signal.aborted) {
    events.onNext?.(pipeline, nextMs)
    if (!(await sleepUntil(project, nextMs, signal))) return
    const startedAtMs = clock.now()
    events.onStart?.(pipeline)
    try {
      const run = await runNow(project, {
        pipeline,
        cause: 'JOB_TASK',
        runner: { holder: thisHolder(), isDead: isDeadHere },
        signal,
        onPlan: ({ notes }) => notes.map((note) => events.onNote?.(pipeline, note)),
        report: (progress) => events.onProgress?.(pipeline, progress),
      })
      events.onEnd?.(pipeline, run)
    } catch (error) {
      if (!signal.aborted) events.onError?.(pipeline, asIngestError(error))
    }
    nextMs = schedule.following(clock.now(), startedAtMs)
  }
}

/** Timers hold 24 days at most, and a machine may sleep: the time is looked at again every minute. */
const LONGEST_SLEEP_MS = 60_000

/** False when the signal came first. */
async function sleepUntil({ clock }: Project, untilMs: number, signal: AbortSignal): Promise<boolean> {
  while (clock.now() < untilMs) {
    try {
      await clock.sleep(Math.min(untilMs - clock.now(), LONGEST_SLEEP_MS), signal)
    } catch {
      return false
    }
  }
  return !signal.aborted
}
