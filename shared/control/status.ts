import { IngestError } from '../core/errors.ts'
import { scheduleOf } from '../pipeline/schedule.ts'
import { listEvents, type PipelineEvent } from '../state/events.ts'
import { readKnownTables } from '../state/known-tables.ts'
import { listRuns, type Run } from '../state/runs.ts'

import { type Project, pipelineNamed } from './project.ts'

export interface PipelineStatus {
  pipeline: string
  connection: string
  /** For people: `every 5 minutes`. Undefined when it runs only when asked. */
  schedule?: string
  nextRunAtMs?: number
  lastRun?: Run
  /** Tables whose source is gone; they are kept. */
  gone?: readonly { table: string; sinceMs: number }[]
}

/** Every pipeline of the file with its schedule and last run. */
export async function status(project: Project): Promise<PipelineStatus[]> {
  return Promise.all(
    Object.entries(project.spec.pipelines ?? {}).map(async ([pipeline, spec]) => {
      const [lastRun] = await listRuns(project.state, pipeline, 1)
      const { tables = {} } = (await readKnownTables(project.state, pipeline)) ?? {}
      const gone = Object.entries(tables).flatMap(([table, { goneSinceMs }]) =>
        goneSinceMs === undefined ? [] : [{ table, sinceMs: goneSinceMs }],
      )
      const schedule = scheduleOf(spec)
      const nextRunAtMs = schedule?.next(project.clock.now(), lastRun?.startedAtMs)
      return {
        pipeline,
        connection: spec.ingestion_definition.connection_name,
        ...(schedule && { schedule: schedule.text }),
        ...(nextRunAtMs !== undefined && { nextRunAtMs }),
        ...(lastRun && { lastRun }),
        ...(gone.length > 0 && { gone }),
      }
    }),
  )
}

/** Runs of one pipeline or of all, newest first. @throws IngestError `usage.invalid` (fix) for an unknown pipeline */
export async function runs(project: Project, pipeline: string | undefined, limit: number): Promise<Run[]> {
  if (pipeline !== undefined) pipelineNamed(project, pipeline)
  const names = pipeline === undefined ? Object.keys(project.spec.pipelines ?? {}) : [pipeline]
  const found = (await Promise.all(names.map((name) => listRuns(project.state, name, limit)))).flat()
  return found.toSorted((a, b) => b.startedAtMs - a.startedAtMs).slice(0, limit)
}

/**
 * The event log of one run, or of the newest one, oldest event first.
 *
 * @throws IngestError `usage.invalid` (fix) when there is no such run
 */
export async function events(project: Project, runId: string | undefined): Promise<PipelineEvent[]> {
  const known = await runs(project, undefined, runId === undefined ? 1 : 1000)
  const run = runId === undefined ? known[0] : known.find(({ id }) => id === runId || id.endsWith(`-${runId}`))
  if (!run)
    throw new IngestError(
      'usage.invalid',
      runId === undefined ? 'nothing has run yet' : `there is no run ${runId}; see lakeflow runs`,
    )
  return listEvents(project.state, run.pipeline, { run: run.id })
}
