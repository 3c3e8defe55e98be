import type { IngestError } from '../core/errors.ts'
import type { Json } from '../core/json.ts'
import type { StateStore } from './state-store.ts'

/** One entry of a pipeline's event log, in the shape of Databricks' `event_log`. */
export interface PipelineEvent {
  /** Unique. */
  id: string
  /** Counts the events of one run, from 1. */
  sequence: number
  origin: EventOrigin
  /** ISO 8601, UTC. */
  timestamp: string
  message: string
  level: 'INFO' | 'METRICS' | 'WARN' | 'ERROR'
  maturity_level: 'STABLE'
  error?: { fatal: boolean; exceptions: { class_name: string; code: string; remedy: string; message: string }[] }
  event_type:
    | 'create_update'
    | 'update_progress'
    | 'flow_definition'
    | 'flow_progress'
    | 'operation_progress'
    | 'schema_change'
  details: { [key: string]: Json }
}

export interface EventOrigin {
  pipeline_id: string
  pipeline_name: string
  update_id: string
  flow_name?: string
  dataset_name?: string
  ingestion_source_connection_name?: string
  ingestion_source_schema_name?: string
  ingestion_source_table_name?: string
}

/** Events are kept this long. */
const KEPT_MS = 90 * 86_400_000

/**
 * Appends one event. Its run, time and id name it, so writing it twice leaves one, and events of tasks that run at the same
 * time in several processes do not meet.
 */
export async function appendEvent(store: StateStore, event: PipelineEvent): Promise<void> {
  const { pipeline_id, update_id } = event.origin
  const sort = `${update_id}/${event.timestamp}/${String(event.sequence).padStart(8, '0')}/${event.id}`
  const expiresAtMs = Date.parse(event.timestamp) + KEPT_MS
  const value = event as unknown as Json
  await store.write([{ partition: `events/${pipeline_id}`, sort, value, expect: 'any', expiresAtMs }])
}

/** Oldest first; of one run, or of all. */
export async function listEvents(
  store: StateStore,
  pipeline: string,
  { run, after, limit }: { run?: string; after?: string; limit?: number } = {},
): Promise<PipelineEvent[]> {
  const entries = await store.list(`events/${pipeline}`, {
    ...(run === undefined ? {} : { prefix: `${run}/` }),
    ...(after === undefined ? {} : { after }),
    ...(limit === undefined ? {} : { limit }),
  })
  return entries.map((entry) => entry.value as unknown as PipelineEvent)
}

export function eventError(error: IngestError, fatal: boolean): NonNullable<PipelineEvent['error']> {
  const { name, code, remedy, message } = error
  return { fatal, exceptions: [{ class_name: name, code, remedy, message }] }
}
