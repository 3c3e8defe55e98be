import { setTimeout as sleep } from 'node:timers/promises'
import { asIngestError, type IngestError } from '../../shared/core/errors.ts'
import { type Committer, openCommitter, type PushCommitPorts } from '../../shared/push/commit.ts'
import { isForGood, keepDeadLetter } from '../../shared/push/dead-letters.ts'
import {
  createFlusher,
  type Flusher,
  type FlushLimits,
  type FlushPorts,
  VISIBILITY_MS,
} from '../../shared/push/flush.ts'
import { prefixEnd } from '../../shared/push/intervals.ts'
import type { FlushedFile } from '../../shared/push/open-files.ts'
import type { WriteThrough } from '../../shared/push/receive.ts'
import { committedRanges } from '../../shared/push/stored-sessions.ts'
import { rootOf } from '../../shared/push/tables.ts'
import type { Queue } from '../../shared/queue/queue.ts'

export interface EngineEvents {
  /** A version holds new events. `sessions`: what is now committed of each without a gap. */
  committed(event: {
    table: string
    version: number
    rows: number
    files: number
    lagMs: number
    sessions: Map<string, number>
  }): void
  /** Something failed and will be tried again. */
  failed(error: IngestError): void
}

export interface PushEngine {
  /** Batches that are written as they are received. */
  write: WriteThrough
  /** Writes and commits everything the queue holds, then stops. */
  stop(): Promise<void>
}

const RECEIVE_BYTES = 8 << 20
const RECEIVE_RECORDS = 2000
const IDLE_MS = 15
const RETRY_MS = 500
/** Tries of one commit before its files are given up and made again. */
const MAX_FAILURES = 20

/** Moves events from the queue into tables for as long as it runs: flush and commit beside each other. */
export function startPushEngine(
  owner: string,
  ports: FlushPorts & PushCommitPorts & { queue: Queue },
  limits: FlushLimits,
  events: EngineEvents,
): PushEngine {
  const { storage, clock } = ports
  const flusher = createFlusher(
    {
      ...ports,
      keepAside: (record, missing, error) =>
        keepDeadLetter(record, missing, error, { storage, batchBytes: limits.batchBytes, nowMs: clock.now() }),
    },
    limits,
  )
  const tables = new Map<string, TableCommits>()
  const closings = new Set<Promise<unknown>>()
  let stopping = false
  const running = run()

  async function run() {
    for (;;) {
      const taken = await attempt(takeSome)
      // A closing file compresses its last pages on another thread: the next ones are filled meanwhile.
      const closing = attempt(async () => announce(await flusher.finish(stopping && !taken ? 'all' : 'due')))
      closings.add(closing)
      void closing.then(() => closings.delete(closing))
      if (stopping && !taken) {
        await Promise.all(closings)
        await Promise.all([...tables.values()].map((table) => table.settled()))
        return
      }
      if (!taken) await sleep(IDLE_MS)
    }
  }

  async function takeSome(): Promise<number> {
    const records = await ports.queue.receive({
      maxBytes: RECEIVE_BYTES,
      maxRecords: RECEIVE_RECORDS,
      visibilityMs: VISIBILITY_MS,
    })
    for (const error of await flusher.take(records)) events.failed(error)
    return records.length
  }

  function announce(files: readonly FlushedFile[]) {
    for (const file of files) {
      const commits = tables.get(file.table) ?? new TableCommits(file.table, owner, ports, events, flusher)
      tables.set(file.table, commits)
      commits.add(file)
    }
  }

  async function attempt<T>(work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work()
    } catch (error) {
      events.failed(asIngestError(error))
      await sleep(RETRY_MS)
      return undefined
    }
  }

  return {
    write: flusher.write,
    async stop() {
      stopping = true
      await running
    },
  }
}

/** The files of one table that wait for their commit: all that wait go into the next version together. */
class TableCommits {
  readonly #table: string
  readonly #owner: string
  readonly #ports: PushCommitPorts & FlushPorts
  readonly #events: EngineEvents
  readonly #flusher: Flusher
  #waiting: FlushedFile[] = []
  #committer: Committer | undefined
  #running: Promise<void> | undefined

  constructor(
    table: string,
    owner: string,
    ports: PushCommitPorts & FlushPorts,
    events: EngineEvents,
    flusher: Flusher,
  ) {
    this.#flusher = flusher
    this.#table = table
    this.#owner = owner
    this.#ports = ports
    this.#events = events
  }

  add(file: FlushedFile) {
    this.#waiting.push(file)
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined
    })
  }

  settled(): Promise<void> {
    return this.#running ?? Promise.resolve()
  }

  async #run() {
    for (let failures = 0; this.#waiting.length > 0; ) {
      const files = this.#waiting.splice(0)
      try {
        await this.#commit(files)
        failures = 0
      } catch (cause) {
        const error = asIngestError(cause)
        // Whether the commit happened is found out by the next committer; the same files are offered to it.
        this.#committer = undefined
        this.#events.failed(error)
        if (isForGood(error)) this.#flusher.refuse(this.#table, error)
        if (isForGood(error) || ++failures >= MAX_FAILURES) {
          // Their records come again after their visibility. The files stay: they may be in the log after all.
          for (const file of files) this.#flusher.settle(file)
          continue
        }
        this.#waiting = [...files, ...this.#waiting]
        await sleep(RETRY_MS)
      }
    }
  }

  async #commit(files: readonly FlushedFile[]) {
    this.#committer ??= await openCommitter(this.#table, this.#owner, this.#ports)
    const { snapshot, committed, refused } = await this.#committer.commit(files)
    for (const file of files) this.#flusher.settle(file)
    this.#ports.tables.update(this.#table, snapshot)
    const garbage = refused.flatMap((file) => (file.add ? [`${rootOf(this.#table)}/${file.add.path}`] : []))
    await this.#ports.storage.delete(garbage)
    if (committed.length === 0) return
    const sessions = new Map<string, number>()
    for (const session of new Set(committed.flatMap((file) => Object.keys(file.ranges))))
      sessions.set(session, prefixEnd(await committedRanges(this.#table, session, this.#ports.state)))
    this.#events.committed({
      table: this.#table,
      version: snapshot.version,
      rows: committed.reduce((sum, file) => sum + file.rows, 0),
      files: committed.length,
      lagMs: this.#ports.clock.now() - Math.min(...committed.map((file) => file.oldestMs)),
      sessions,
    })
  }
}
