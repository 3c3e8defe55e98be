import type { Stream } from '../connector/connector.ts'
import type { ResolvedTable } from '../pipeline/resolve.ts'
import { tableNameText } from '../pipeline/table-name.ts'
import { endedRun, idleStream, type Run, runId, type StreamSummary, saveRun } from '../state/runs.ts'
import { EventLog } from './event-log.ts'
import type { Report } from './progress.ts'
import { type Runner, runStream } from './run-stream.ts'
import { defaultSettings, type SyncSettings } from './settings.ts'
import type { StreamTask, SyncPorts } from './stream-run.ts'
import type { TablePlan } from './table-drift.ts'

/** One update of a pipeline. */
export interface PipelineUpdate {
  pipeline: string
  /** Name of the connection, for the event log. */
  connection: string
  tables: readonly ResolvedTable[]
  /** What resolving the pipeline decided for the user; goes to the event log. */
  notes?: readonly string[]
  /** Tables of the source that came or went since the run before; go to the event log. */
  changes?: TablePlan['changes']
  /** Opens the source's stream of a table. `notice` takes what the user should know of the read. */
  open: (table: ResolvedTable, notice: (message: string) => void) => Promise<Stream>
  /** All tables, or the destinations to copy again (`main.shop.orders`). */
  fullRefresh: 'all' | 'none' | ReadonlySet<string>
  cause: string
  settings?: Partial<SyncSettings>
  signal: AbortSignal
  deadlineMs?: number
  /** Takes what is told while it runs: for a display. */
  report?: Report
  /** Where rows that do not fit go, for each table. */
  quarantine?: (table: ResolvedTable, runId: string) => StreamTask['quarantine']
}

/**
 * Runs every stream of a pipeline, a few at a time; one that fails does not stop the others. The run, its summary and
 * its event log are in the state store. Streams stop at the signal or the deadline and go on from there next time.
 *
 * @throws IngestError `state.unavailable` (retry) when not even the run can be recorded
 */
export async function runPipeline(update: PipelineUpdate, ports: SyncPorts, runner: Runner): Promise<Run> {
  const settings = { ...defaultSettings, ...update.settings }
  const tables = new Map(update.tables.map((table) => [tableNameText(table.destination), table]))
  const startedAtMs = ports.clock.now()
  let run: Run = {
    id: runId(startedAtMs, ports.random.uuid()),
    pipeline: update.pipeline,
    state: 'RUNNING',
    cause: update.cause,
    fullRefresh: update.fullRefresh !== 'none',
    startedAtMs,
    streams: [...tables.keys()].map((stream) => idleStream(stream, 'QUEUED')),
  }
  const events = new EventLog(ports, { ...run, connection: update.connection }, tables)
  await saveRun(ports.state, run)
  events.update(run)
  for (const note of update.notes ?? []) events.note(note)
  for (const change of update.changes ?? []) events.progress({ kind: 'schema_change', ...change })

  const report: Report = (progress) => {
    events.progress(progress)
    update.report?.(progress)
  }
  const waiting = [...tables]
  const summaries = new Map<string, StreamSummary>()
  const workers = Array.from({ length: Math.max(1, settings.streams) }, async () => {
    for (let next = waiting.shift(); next && !update.signal.aborted; next = waiting.shift()) {
      const { summary } = await runStream(taskFor(next[0], next[1]), ports, runner)
      summaries.set(next[0], summary)
    }
  })
  await Promise.all(workers)

  const streams = [...tables.keys()].map((stream) => summaries.get(stream) ?? idleStream(stream, 'CANCELED'))
  run = endedRun(run, streams, ports.clock.now())
  events.update(run)
  await events.flush()
  await saveRun(ports.state, run)
  return run

  function taskFor(stream: string, table: ResolvedTable): StreamTask {
    const { fullRefresh, deadlineMs } = update
    const quarantine = update.quarantine?.(table, run.id)
    return {
      pipeline: update.pipeline,
      stream,
      table,
      open: () => update.open(table, (message) => report({ kind: 'note', stream, message })),
      fullRefresh: fullRefresh === 'all' || (fullRefresh !== 'none' && fullRefresh.has(stream)),
      runStartedAtMs: startedAtMs,
      settings,
      signal: update.signal,
      report,
      ...(deadlineMs === undefined ? {} : { deadlineMs }),
      ...(quarantine && { quarantine }),
    }
  }
}
