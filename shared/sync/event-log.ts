import type { Clock } from '../core/clock.ts'
import type { Json } from '../core/json.ts'
import type { Random } from '../core/random.ts'
import type { ResolvedTable } from '../pipeline/resolve.ts'
import type { SchemaChange } from '../schema/schema-change.ts'
import { appendEvent, type EventOrigin, eventError, type PipelineEvent } from '../state/events.ts'
import type { Run } from '../state/runs.ts'
import type { StateStore } from '../state/state-store.ts'
import type { SyncProgress } from './progress.ts'

export interface EventLogPorts {
  state: StateStore
  clock: Clock
  random: Random
}

type Draft = Pick<PipelineEvent, 'event_type' | 'message' | 'details'> &
  Partial<Pick<PipelineEvent, 'level' | 'error'>> & { flow?: Partial<EventOrigin> }

/** The event log of one run. Events are written in order, behind the run; `flush` waits for the last one. */
export class EventLog {
  readonly #ports: EventLogPorts
  readonly #origin: EventOrigin
  readonly #flows: ReadonlyMap<string, Partial<EventOrigin>>
  #sequence = 0
  #written: Promise<void> = Promise.resolve()

  constructor(
    ports: EventLogPorts,
    run: { id: string; pipeline: string; connection: string },
    tables: ReadonlyMap<string, ResolvedTable>,
  ) {
    this.#ports = ports
    this.#origin = { pipeline_id: run.pipeline, pipeline_name: run.pipeline, update_id: run.id }
    this.#flows = new Map(
      [...tables].map(([stream, { source }]) => [
        stream,
        {
          flow_name: `${stream}_flow`,
          dataset_name: stream,
          ingestion_source_connection_name: run.connection,
          ingestion_source_schema_name: source.schema,
          ingestion_source_table_name: source.name,
        },
      ]),
    )
  }

  /** The run itself came to a state. */
  update(run: Run): void {
    this.#append({
      event_type: run.state === 'RUNNING' ? 'create_update' : 'update_progress',
      level: run.state === 'FAILED' ? 'ERROR' : 'INFO',
      message: run.state === 'RUNNING' ? `Update ${run.id} started` : `Update ${run.id} is ${run.state}`,
      details: { state: run.state, cause: run.cause, full_refresh: run.fullRefresh },
    })
  }

  note(message: string): void {
    this.#append({ event_type: 'flow_definition', message, details: {} })
  }

  /** What a stream tells. Counts while it reads are for displays, not for the log. */
  progress(progress: SyncProgress): void {
    const draft = draftOf(progress)
    if (draft) this.#append({ ...draft, flow: this.#flows.get(progress.stream) ?? {} })
  }

  /** An event that cannot be written is not the run's failure. */
  async flush(): Promise<void> {
    await this.#written
  }

  #append({ flow, level = 'INFO', ...draft }: Draft): void {
    const { state, clock, random } = this.#ports
    this.#sequence += 1
    const event: PipelineEvent = {
      id: random.uuid(),
      sequence: this.#sequence,
      origin: { ...this.#origin, ...flow },
      timestamp: new Date(clock.now()).toISOString(),
      level,
      maturity_level: 'STABLE',
      ...draft,
    }
    this.#written = this.#written.then(() => appendEvent(state, event)).catch(() => {})
  }
}

function draftOf(progress: SyncProgress): Draft | undefined {
  const { stream } = progress
  switch (progress.kind) {
    case 'reading':
      return undefined
    case 'started':
      return {
        event_type: 'flow_progress',
        message: `${stream} is ${progress.mode === 'full' ? 'being copied in full' : 'reading changes'}`,
        details: { flow_progress: { status: 'RUNNING', mode: progress.mode } },
      }
    case 'committed':
      return {
        event_type: 'flow_progress',
        level: 'METRICS',
        message: `${stream} is at version ${progress.version}, ${progress.rows} rows`,
        details: flowMetrics('RUNNING', progress.rows, progress.rejected, {
          version: progress.version,
          duration_ms: progress.durationMs,
        }),
      }
    case 'retrying':
      return {
        event_type: 'flow_progress',
        level: 'WARN',
        message: `${stream}: ${progress.error.message}; trying again in ${progress.waitMs} ms`,
        error: eventError(progress.error, false),
        details: { flow_progress: { status: 'WAITING_FOR_RESOURCES', attempt: progress.attempt } },
      }
    case 'resyncing':
      return {
        event_type: 'flow_progress',
        level: 'WARN',
        message: `${stream} is copied again in full: ${progress.error.message}`,
        error: eventError(progress.error, false),
        details: { flow_progress: { status: 'RESETTING' } },
      }
    case 'schema_change': {
      const { kind, column, before, after, action, outcome } = progress.change
      return {
        event_type: 'schema_change',
        level: action === 'evolve' ? 'INFO' : 'WARN',
        message: `${stream}: ${changeText(progress.change)}`,
        details: { schema_change: { kind, column: column ?? null, before, after, policy: action, outcome } },
      }
    }
    case 'waiting':
      return {
        event_type: 'flow_progress',
        level: 'WARN',
        message: `${stream}: a full refresh is due and waits for its window, which opens at ${new Date(progress.untilMs).toISOString()}`,
        details: { flow_progress: { status: 'WAITING_FOR_RESOURCES' } },
      }
    case 'note':
      return { event_type: 'flow_definition', message: `${stream}: ${progress.message}`, details: {} }
    case 'finished': {
      const { summary } = progress
      const { error } = summary
      return {
        event_type: 'flow_progress',
        level: error ? 'ERROR' : 'INFO',
        message: error ? `${stream} has FAILED: ${error.message}` : `${stream} is ${summary.state}`,
        ...(error && { error: { fatal: true, exceptions: [{ class_name: 'IngestError', ...error }] } }),
        details: flowMetrics(summary.state, summary.rows, summary.rejected, {
          bytes: summary.bytes,
          commits: summary.commits,
          duration_ms: summary.durationMs,
        }),
      }
    }
  }
}

const tableWords: Readonly<Record<string, string>> = {
  table_added: 'new',
  table_removed: 'gone',
  table_returned: 'back',
}

/** `column price: integer -> string, goes to price__string`. */
export function changeText({ kind, column, before, after, outcome }: SchemaChange): string {
  const what = { column_added: 'new', column_removed: 'gone', column_returned: 'back' } as Record<string, string>
  if (column === undefined) return `table ${before ?? after} is ${tableWords[kind] ?? kind}, ${outcome}`
  const was = kind === 'column_renamed' ? `${before} -> ${after}` : (what[kind] ?? `${before} -> ${after}`)
  return `column ${kind === 'column_renamed' ? '' : `${column}: `}${was}, ${outcome}`
}

/** Names as Databricks has them, where it has one. */
function flowMetrics(status: string, rows: number, rejected: number, more: { [key: string]: Json }) {
  return {
    flow_progress: {
      status,
      metrics: { num_output_rows: rows, ...more },
      data_quality: { dropped_records: rejected },
    },
  }
}
