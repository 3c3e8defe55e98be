import type { Json } from '../core/json.ts'
import type { StateStore } from './state-store.ts'

/** All tasks of one pipeline update, as Databricks calls its states. */
export interface Run {
  /** Sorts by start: `20261122T201500123Z-1a2b3c4d`. */
  id: string
  pipeline: string
  state: 'RUNNING' | 'COMPLETED' | 'FAILED' | 'CANCELED'
  /** What began it: `API_CALL`, `USER_ACTION`, `JOB_TASK`... */
  cause: string
  fullRefresh: boolean
  startedAtMs: number
  endedAtMs?: number
  streams: readonly StreamSummary[]
}

/** What a run did to one stream. */
export interface StreamSummary {
  /** The destination: `main.shop.orders`. */
  stream: string
  state: 'QUEUED' | 'RUNNING' | 'COMPLETED' | 'FAILED' | 'CANCELED'
  mode: 'full' | 'changes' | 'none'
  rows: number
  bytes: number
  commits: number
  /** The table's version after the run. */
  version?: number
  rejected: number
  /** Differences between source and table that the run met; left out when there are none. */
  schemaChanges?: number
  durationMs: number
  error?: { code: string; remedy: string; message: string }
}

/** A run that has ended, from what became of its streams. */
export function endedRun(run: Run, streams: readonly StreamSummary[], endedAtMs: number): Run {
  const has = (state: StreamSummary['state']) => streams.some((stream) => stream.state === state)
  return { ...run, state: has('FAILED') ? 'FAILED' : has('CANCELED') ? 'CANCELED' : 'COMPLETED', endedAtMs, streams }
}

/** A stream that a run did nothing to, so far or at all. */
export const idleStream = (
  stream: string,
  state: StreamSummary['state'],
  error?: StreamSummary['error'],
): StreamSummary => ({
  stream,
  state,
  mode: 'none',
  rows: 0,
  bytes: 0,
  commits: 0,
  rejected: 0,
  durationMs: 0,
  ...(error && { error }),
})

/** Runs are kept this long. */
const KEPT_MS = 90 * 86_400_000

export function runId(startedAtMs: number, uuid: string): string {
  return `${new Date(startedAtMs).toISOString().replace(/[-:.]/g, '')}-${uuid.slice(0, 8)}`
}

export async function saveRun(store: StateStore, run: Run): Promise<void> {
  const value = run as unknown as Json
  const expiresAtMs = run.startedAtMs + KEPT_MS
  await store.write([{ partition: `runs/${run.pipeline}`, sort: run.id, value, expect: 'any', expiresAtMs }])
}

/** Newest first. */
export async function listRuns(store: StateStore, pipeline: string, limit = 20): Promise<Run[]> {
  const entries = await store.list(`runs/${pipeline}`, { descending: true, limit })
  return entries.map((entry) => entry.value as unknown as Run)
}

export async function readRun(store: StateStore, pipeline: string, id: string): Promise<Run | undefined> {
  return (await store.read({ partition: `runs/${pipeline}`, sort: id }))?.value as Run | undefined
}

/** Where the streams of a run are tasks of their own: what has become of one of them so far. */
export async function saveTaskSummary(
  store: StateStore,
  run: string,
  summary: StreamSummary,
  startedAtMs: number,
): Promise<void> {
  const value = summary as unknown as Json
  const expiresAtMs = startedAtMs + KEPT_MS
  await store.write([{ partition: `tasks/${run}`, sort: summary.stream, value, expect: 'any', expiresAtMs }])
}

export async function listTaskSummaries(store: StateStore, run: string): Promise<StreamSummary[]> {
  return (await store.list(`tasks/${run}`)).map((entry) => entry.value as unknown as StreamSummary)
}
