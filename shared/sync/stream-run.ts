import type { Stream } from '../connector/connector.ts'
import type { Clock } from '../core/clock.ts'
import { IngestError } from '../core/errors.ts'
import type { Random } from '../core/random.ts'
import type { TableChange, TableSnapshot } from '../delta/table.ts'
import { type CommitLog, commitOnce } from '../load/commit-once.ts'
import type { Engine } from '../load/engine.ts'
import { historySchema } from '../load/history-columns.ts'
import type { Landing } from '../load/landing.ts'
import type { MergeSpec } from '../load/merge.ts'
import type { Place } from '../load/quarantine.ts'
import { guardRows } from '../load/row-guard.ts'
import { openStage, type RejectedRow, type Stage } from '../load/stage.ts'
import type { ResolvedTable } from '../pipeline/resolve.ts'
import type { Schema } from '../schema/types.ts'
import type { StateStore } from '../state/state-store.ts'
import type { StreamKey, StreamState } from '../state/streams.ts'
import type { Writer } from '../state/writers.ts'
import type { Storage } from '../storage/storage.ts'
import type { Report } from './progress.ts'
import type { SyncSettings } from './settings.ts'

/** What the engine stands on. */
export interface SyncPorts {
  storage: Storage
  state: StateStore
  clock: Clock
  random: Random
  /** Joins changes by key with the table. */
  engine: () => Promise<Engine>
}

/** One stream of a pipeline, as a piece of work: what to read, where to, and how far this call may go. */
export interface StreamTask extends StreamKey {
  table: ResolvedTable
  /** Opens the source's stream; once for each attempt. */
  open: () => Promise<Stream>
  /** Forget the cursor and copy again. */
  fullRefresh: boolean
  /** The copy is not one that the user asked for. */
  resync?: boolean
  /** When the run began that this task is part of: what it leaves is not older than this. */
  runStartedAtMs: number
  settings: SyncSettings
  /** Stops at once. What is not committed or saved is read again. */
  signal: AbortSignal
  /** Stops at the first checkpoint after this, in milliseconds since the epoch. */
  deadlineMs?: number
  report: Report
  /** Takes rows that were set aside; they are durable when it resolves. */
  quarantine?: (rows: readonly RejectedRow[], place: Place) => Promise<void>
}

/** What one run did to one stream, over all its attempts. */
export interface Tally {
  mode: 'full' | 'changes' | 'none'
  rows: number
  bytes: number
  rejected: number
  commits: number
  /** The schema changes told so far. */
  drift: Set<string>
  /** The full copy that this run needed is committed. */
  copied: boolean
  /** When the table was last copied in full, as far as an attempt found out. */
  loadedAtMs?: number
  version?: number
  /** Grows with everything that is durable: an attempt that moved it was not in vain. */
  progress: number
}

/** One attempt at a task: the owner's hold on the stream, its table and its state. */
export interface StreamRun {
  readonly task: StreamTask
  readonly ports: SyncPorts
  readonly stream: Stream
  readonly log: CommitLog
  readonly writer: Writer<StreamState>
  readonly tally: Tally
  readonly reading: Reading
  /** The full copy that is being made. */
  load?: string
  /** Rows set aside and not yet handed to the quarantine. */
  aside: RejectedRow[]
}

/** Changes of this stream are laid on the table by key; otherwise rows are only added. */
export function mergesByKey({ table }: StreamTask): boolean {
  return table.scdType !== 'APPEND_ONLY' && table.key.length > 0
}

/**
 * Changes since a copy began are laid on it by key. With change capture a row that was written meanwhile is in both, and
 * a table that is only added to would show it twice.
 */
export const copyMergesByKey = (task: StreamTask): boolean =>
  mergesByKey(task) || (task.table.mode === 'cdc' && task.table.key.length > 0)

/** The columns of a stream's table. */
export const tableSchema = (task: StreamTask, schema: Schema): Schema =>
  keepsHistory(task) ? historySchema(schema, task.table.sequenceBy) : schema

/** The table keeps every version of a row. */
export const keepsHistory = (task: StreamTask): boolean => mergesByKey(task) && task.table.scdType === 'SCD_TYPE_2'

/** How changes of the stream are laid on its table. */
export function mergeSpec({ table, pipeline, stream }: StreamTask): MergeSpec {
  const { scdType, key, sequenceBy, maxShrink } = table
  return {
    mode: scdType === 'SCD_TYPE_2' ? scdType : 'SCD_TYPE_1',
    keys: key,
    sequenceBy: scdType === 'APPEND_ONLY' ? [] : sequenceBy,
    letThrough: `lakeflow run ${pipeline} --full-refresh=${stream}`,
    ...(maxShrink !== undefined && { maxShrink }),
  }
}

/** How the stream is read, as far as its cursor depends on it. */
export function readingOf({ table }: StreamTask): string {
  return table.mode === 'query' ? `query by ${table.cursorColumns.join(', ')}` : table.mode
}

/** Opens a stage that counts into the run and stops it at the quarantine's limit. */
export function stageFor(
  run: StreamRun,
  where: { folder: string; landing: Landing; holds: 'rows' | 'changes' },
): Stage {
  const { task, ports } = run
  const { landing, folder, holds } = where
  const options = { batch: task.settings.batch, onRejected: (rows: readonly RejectedRow[]) => setAside(run, rows) }
  const stage = openStage({
    folder,
    holds,
    schema: landing.schema,
    storage: ports.storage,
    random: ports.random,
    targetBytes: task.settings.fileBytes,
    ...options,
  })
  return guardRows(stage, landing, options)
}

/**
 * Keeps rows that do not fit for the quarantine, and counts them.
 * @throws IngestError `row.quarantine_limit` (fix) for one more than the pipeline allows
 */
export function setAside({ aside, tally, task }: StreamRun, rows: readonly RejectedRow[]): void {
  const limit = task.settings.quarantineLimit
  aside.push(...rows)
  tally.rejected += rows.length
  if (rows.length > 0 && tally.rejected > limit) throw tooManyRejected(rows.at(-1)!, tally.rejected, limit)
}

/** Makes durable what was set aside. Comes before whatever passes over those rows. */
export async function quarantine(run: StreamRun): Promise<void> {
  const rows = run.aside
  run.aside = []
  if (rows.length === 0) return
  const { loadId = '', cursor = null } = run.writer.current.state ?? {}
  await run.task.quarantine?.(rows, { loadId: run.load ?? loadId, cursor: run.load ? '' : JSON.stringify(cursor) })
}

/** One commit of the stream, exactly once, and everyone told. */
export async function commitStream(
  run: StreamRun,
  next: StreamState,
  rows: number,
  changeOf: (snapshot: TableSnapshot) => Promise<TableChange>,
): Promise<TableSnapshot> {
  const { task, ports, tally } = run
  const startedAtMs = ports.clock.now()
  await quarantine(run)
  const snapshot = await commitOnce(run.writer, run.log, { next, changeOf })
  tally.commits += 1
  tally.progress += 1
  tally.version = snapshot.version
  const durationMs = ports.clock.now() - startedAtMs
  const { version } = snapshot
  task.report({ kind: 'committed', stream: task.stream, version, rows, rejected: tally.rejected, durationMs })
  return snapshot
}

/** Counts what is read and tells of it now and then. */
export class Reading {
  readonly #task: StreamTask
  readonly #clock: Clock
  readonly #tally: Tally
  readonly #startedAtMs: number
  #toldAtMs = 0

  constructor(task: StreamTask, clock: Clock, tally: Tally) {
    this.#task = task
    this.#clock = clock
    this.#tally = tally
    this.#startedAtMs = clock.now()
  }

  /** Takes what a stage counted since the last time. */
  add(rows: number, bytes: number, phase: 'full' | 'changes', pieces?: { done: number; all: number }): void {
    const tally = this.#tally
    tally.rows += rows
    tally.bytes += bytes
    const now = this.#clock.now()
    if (now - this.#toldAtMs < TELL_MS) return
    this.#toldAtMs = now
    this.#task.report({
      kind: 'reading',
      stream: this.#task.stream,
      phase,
      rows: tally.rows,
      bytes: tally.bytes,
      rowsPerSecond: Math.round((tally.rows * 1000) / Math.max(1, now - this.#startedAtMs)),
      ...(pieces && { pieces }),
    })
  }
}

const TELL_MS = 500

export function overdue(run: StreamRun): boolean {
  const { deadlineMs } = run.task
  return deadlineMs !== undefined && run.ports.clock.now() >= deadlineMs
}

function tooManyRejected({ rejection }: RejectedRow, count: number, limit: number): IngestError {
  const { column, code, got, wanted } = rejection
  const where = column === '' ? 'the row itself' : `column ${column}`
  return new IngestError(
    'row.quarantine_limit',
    `${count} rows did not fit their columns, and ${limit} are allowed; the last one: ${where} is ${code}, got ${got}, wanted ${wanted}`,
  )
}
