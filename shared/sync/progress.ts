import type { IngestError } from '../core/errors.ts'
import type { SchemaChange } from '../schema/schema-change.ts'
import type { StreamSummary } from '../state/runs.ts'

/** What a running sync tells, for a progress display and for the event log. Streams are named by their destination. */
export type SyncProgress =
  | { kind: 'started'; stream: string; mode: 'full' | 'changes' }
  /** At most one in half a second for each stream. Counts are of this run. */
  | {
      kind: 'reading'
      stream: string
      phase: 'full' | 'changes'
      rows: number
      bytes: number
      rowsPerSecond: number
      pieces?: { done: number; all: number }
    }
  | { kind: 'committed'; stream: string; version: number; rows: number; rejected: number; durationMs: number }
  | { kind: 'retrying'; stream: string; error: IngestError; waitMs: number; attempt: number }
  /** The stream is copied again in full. */
  | { kind: 'resyncing'; stream: string; error: IngestError }
  /** The source is not as the table knew it; told before anything is done about it. */
  | { kind: 'schema_change'; stream: string; change: SchemaChange }
  /** A full refresh is due, and its window opens then, in milliseconds since the epoch. */
  | { kind: 'waiting'; stream: string; untilMs: number }
  | { kind: 'note'; stream: string; message: string }
  | { kind: 'finished'; stream: string; summary: StreamSummary }

export type Report = (progress: SyncProgress) => void
