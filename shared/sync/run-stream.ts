import { asIngestError, IngestError, invariant } from '../core/errors.ts'
import { tableRoot } from '../delta/table-root.ts'
import { recover } from '../load/commit-once.ts'
import { openTarget } from '../load/target.ts'
import { acquireLease, type Holder } from '../state/leases.ts'
import type { StreamSummary } from '../state/runs.ts'
import { readLoad, type StreamState, writerId, writerKey } from '../state/streams.ts'
import { takeWriter } from '../state/writers.ts'
import { followChanges } from './follow-changes.ts'
import { driftOf, tellDrift, wantsBackfill } from './follow-schema.ts'
import { joinSmallFiles } from './join-small-files.ts'
import { loadStream } from './load-stream.ts'
import { refreshAfter, taskNow } from './refresh.ts'
import {
  Reading,
  readingOf,
  type StreamRun,
  type StreamTask,
  type SyncPorts,
  type Tally,
  tableSchema,
} from './stream-run.ts'
import { sweepKeys } from './sweep-keys.ts'

export interface StreamResult {
  summary: StreamSummary
  /** The deadline came first: there is more to read, and another task goes on from here. */
  more: boolean
}

/** Who runs streams, and how to tell that another who did is dead. */
export interface Runner {
  holder: Holder
  isDead?: (holder: Holder) => boolean
}

const newTally = (): Tally => ({
  mode: 'none',
  rows: 0,
  bytes: 0,
  rejected: 0,
  commits: 0,
  drift: new Set(),
  copied: false,
  progress: 0,
})

const BACKOFF_MS = 1_000
/** Once for the changes, and once for an interrupted copy that was taken up again and whose place was lost as well. */
const MAX_RESYNCS = 2
const MAX_BACKOFF_MS = 60_000

/**
 * One bounded piece of work on one stream: its first full copy or a new one when it needs it, then its changes. Holds the
 * stream's lease, waits and tries again after passing faults, copies again when the source or table lost its place.
 * Never throws: what failed is in the summary, and the stream is where its last commit left it.
 */
export async function runStream(task: StreamTask, ports: SyncPorts, runner: Runner): Promise<StreamResult> {
  const { stream } = task
  const startedAtMs = ports.clock.now()
  const tally = newTally()
  const summary = (state: StreamSummary['state'], error?: IngestError): StreamSummary => ({
    stream,
    state,
    mode: tally.mode,
    rows: tally.rows,
    bytes: tally.bytes,
    commits: tally.commits,
    ...(tally.version === undefined ? {} : { version: tally.version }),
    rejected: tally.rejected,
    ...(tally.drift.size > 0 && { schemaChanges: tally.drift.size }),
    durationMs: ports.clock.now() - startedAtMs,
    ...(error && { error: { code: error.code, remedy: error.remedy, message: error.message } }),
  })
  const finish = (result: StreamResult) => {
    task.report({ kind: 'finished', stream, summary: result.summary })
    return result
  }

  try {
    const more = await withLease(task, ports, runner, (leased) => untilDone(leased, ports, runner, tally))
    return finish({ summary: summary('COMPLETED'), more })
  } catch (error) {
    if (task.signal.aborted) return finish({ summary: summary('CANCELED'), more: true })
    return finish({ summary: summary('FAILED', asIngestError(error)), more: false })
  }
}

/** Does work on a stream that no other process works on. @throws IngestError `state.lease_held` (retry) */
export async function withLease<T>(
  task: StreamTask,
  ports: SyncPorts,
  { holder, isDead }: Runner,
  work: (task: StreamTask) => Promise<T>,
): Promise<T> {
  const lease = await acquireLease({
    store: ports.state,
    clock: ports.clock,
    name: `${task.pipeline}/${task.stream}`,
    holder,
    ttlMs: task.settings.leaseMs,
    ...(isDead && { isDead }),
  })
  try {
    return await work({ ...task, signal: AbortSignal.any([task.signal, lease.signal]) })
  } catch (error) {
    throw lease.signal.aborted ? lease.signal.reason : error
  } finally {
    // A lease that cannot be given back expires by itself.
    await lease.release().catch(() => {})
  }
}

/** Attempts until one ends, or tries in a row come to nothing. Returns whether there is more to read. */
async function untilDone(task: StreamTask, ports: SyncPorts, runner: Runner, tally: Tally): Promise<boolean> {
  let fullRefresh = task.fullRefresh
  let resyncs = 0
  let attempt = 0
  for (;;) {
    const before = tally.progress
    try {
      return await attemptStream({ ...task, fullRefresh, resync: resyncs > 0 }, ports, runner, tally)
    } catch (cause) {
      task.signal.throwIfAborted()
      const error = asIngestError(cause)
      if (error.remedy === 'resync' && resyncs++ < MAX_RESYNCS) {
        if ((await refreshAfter(error, task, ports, tally.loadedAtMs)) === 'waits') return false
        fullRefresh = true
        task.report({ kind: 'resyncing', stream: task.stream, error })
        continue
      }
      attempt = tally.progress > before ? 1 : attempt + 1
      if (error.remedy !== 'retry' || attempt >= task.settings.attempts) throw error
      const backoff = Math.min(MAX_BACKOFF_MS, BACKOFF_MS * 2 ** (attempt - 1))
      const waitMs = error.retryAfterMs ?? Math.round(ports.random.next() * backoff)
      if (task.deadlineMs !== undefined && ports.clock.now() + waitMs >= task.deadlineMs) throw error
      task.report({ kind: 'retrying', stream: task.stream, error, waitMs, attempt })
      await ports.clock.sleep(waitMs, task.signal)
    }
  }
}

/** Opens everything anew, and brings state and table into step. */
export async function openRun(
  task: StreamTask,
  ports: SyncPorts,
  runner: Runner,
  tally: Tally = newTally(),
): Promise<StreamRun> {
  const { refused } = task.table
  if (refused) throw new IngestError(refused.code, refused.message)
  const stream = await task.open()
  const id = writerId(task)
  const { destination, tableProperties } = task.table
  const log = await openTarget(
    {
      root: tableRoot(destination),
      name: task.stream,
      owner: id,
      schema: tableSchema(task, stream.schema),
      properties: tableProperties,
    },
    { ...ports, signal: task.signal },
  )
  const writer = await takeWriter<StreamState>(ports.state, writerKey(task), id, runner.holder.owner)
  const { reset } = await recover(writer, log)
  if (reset) task.report({ kind: 'resyncing', stream: task.stream, error: rewound(task) })

  const { state } = writer.current
  if (state) tally.loadedAtMs = state.loadedAtMs
  return {
    task: tally.copied ? task : await taskNow(task, ports, state),
    ports,
    stream,
    log,
    writer,
    tally,
    reading: new Reading(task, ports.clock, tally),
    aside: [],
  }
}

/** Reads what is to be read. Returns whether there is more. */
async function attemptStream(task: StreamTask, ports: SyncPorts, runner: Runner, tally: Tally): Promise<boolean> {
  const run = await openRun(task, ports, runner, tally)
  const { stream, log, writer } = run
  const drift = driftOf(run, await log.read())
  if (drift.frozen) tellDrift(run, drift)
  if (await needsCopy(run)) {
    begin(run, 'full')
    let copy = await loadStream(run)
    // What an earlier run had read is older than this run; where no changes follow, all of it is read once more.
    if (copy.done && stream.kind === 'snapshot' && copy.startedAtMs < task.runStartedAtMs) copy = await loadStream(run)
    if (!copy.done) return true
    tally.copied = true
  }
  if (stream.kind === 'snapshot') {
    await joinSmallFiles(run)
    return false
  }
  invariant(writer.current.state, `${task.stream} has no cursor after its full copy`)
  begin(run, 'changes')
  if ((await followChanges(run, stream)) === 'more') return true
  await sweepKeys(run, stream)
  await joinSmallFiles(run)
  return false
}

/** Never copied, read whole each time, asked for, or asked for by an earlier run that did not finish. */
async function needsCopy(run: StreamRun): Promise<boolean> {
  const { task, ports, stream, writer, tally } = run
  if (writer.current.state === null) return true
  if (tally.copied) return false
  const { reading } = writer.current.state
  if (reading !== readingOf(task)) {
    const message = `was read as ${reading} and is now read as ${readingOf(task)}, which begins with a full copy`
    task.report({ kind: 'note', stream: task.stream, message })
    return true
  }
  if (stream.kind === 'snapshot' || task.fullRefresh) return true
  if (wantsBackfill(run, await run.log.read())) return true
  const load = await readLoad(ports.state, task)
  return load !== undefined && load.id !== writer.current.state.loadId
}

function begin({ task, tally }: StreamRun, mode: 'full' | 'changes'): void {
  if (tally.mode !== 'full') tally.mode = mode
  task.report({ kind: 'started', stream: task.stream, mode })
}

const rewound = ({ stream }: StreamTask) =>
  new IngestError('table.rewound', `the table ${stream} and the stored cursor do not belong together any more`)
