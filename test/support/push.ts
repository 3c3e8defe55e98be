import { parquetReadObjects } from 'hyparquet'
import { createBatchWriter } from '../../shared/columnar/parquet-writer.ts'
import type { Clock } from '../../shared/core/clock.ts'
import type { IngestError } from '../../shared/core/errors.ts'
import type { Random } from '../../shared/core/random.ts'
import { readSnapshot } from '../../shared/delta/snapshot.ts'
import type { IngestBatch, Receipt } from '../../shared/push/batch.ts'
import { openCommitter } from '../../shared/push/commit.ts'
import { isForGood, keepDeadLetter } from '../../shared/push/dead-letters.ts'
import { createFlusher, defaultFlushLimits, VISIBILITY_MS } from '../../shared/push/flush.ts'
import type { Intervals } from '../../shared/push/intervals.ts'
import { defaultLimits, type PushLimits } from '../../shared/push/payload.ts'
import type { ReceivePorts, Turn } from '../../shared/push/receive.ts'
import { receive } from '../../shared/push/receive.ts'
import { tableFile } from '../../shared/push/table-file.ts'
import { createPushTables, type DeclaredTable, defaultPolicy } from '../../shared/push/tables.ts'
import { validateRows } from '../../shared/push/validate.ts'
import type { Queue, ReceivedRecord } from '../../shared/queue/queue.ts'
import type { StateStore } from '../../shared/state/state-store.ts'
import type { Storage } from '../../shared/storage/storage.ts'
import { column, seededRandom } from './delta.ts'

export const CLICKS = 'main.events.clicks'

export const clicks: DeclaredTable = {
  name: CLICKS,
  policy: defaultPolicy,
  schema: { fields: [column('id', 'string', false), column('n', 'long')] },
}

/** A clock that moves only when told to; sleeping moves it. */
export function handClock(startMs = Date.UTC(2026, 0, 1)): Clock & { forward(ms: number): void } {
  let now = startMs
  return {
    now: () => now,
    forward: (ms) => {
      now += ms
    },
    async sleep(ms) {
      now += ms
    },
  }
}

export interface PushPorts {
  storage: Storage
  state: StateStore
  queue: Queue
  clock: Clock
}

/** What one process of push does, on this thread. With `through` it writes batches into files as they are received. */
export function pushProcess(
  ports: PushPorts,
  seed: number,
  {
    declared = [clicks],
    through = false,
    limits = defaultLimits,
  }: { declared?: readonly DeclaredTable[]; through?: boolean; limits?: PushLimits } = {},
) {
  const random: Random = seededRandom(seed)
  const tables = createPushTables(declared, { ...ports, random }, 0)
  const flushPorts = {
    ...ports,
    random,
    tables,
    keepAside: (record: ReceivedRecord, missing: Intervals, error: IngestError) =>
      keepDeadLetter(record, missing, error, { ...ports, batchBytes: limits.batchBytes, nowMs: 0 }),
    openFile: async (target: Parameters<typeof tableFile>[0]) =>
      tableFile(target, ports.storage.writer(target.path), createBatchWriter),
  }
  const flusher = createFlusher(flushPorts, { ...defaultFlushLimits, lanes: 2, batchBytes: limits.batchBytes })
  const receivePorts: ReceivePorts = {
    ...ports,
    tables,
    validate: async (input) => validateRows(input),
    limits,
    ...(through && {
      through: { write: flusher.write, send: (records) => ports.queue.sendTaken!(records, VISIBILITY_MS) },
    }),
  }

  return {
    tables,
    flusher,

    async receive(batch: IngestBatch, table = CLICKS, turn?: Turn): Promise<Receipt> {
      const opened = (await tables.open(table))!
      return receive(opened, batch, receivePorts, turn)
    },

    /** Everything that can be received now into one file a table, and these into one version. */
    async flushAndCommit(table = CLICKS) {
      const records = await ports.queue.receive({ maxBytes: 1 << 30, maxRecords: 10_000, visibilityMs: VISIBILITY_MS })
      const failed = await flusher.take(records)
      const [error] = failed.filter((one) => !isForGood(one))
      if (error) throw error
      const files = await flusher.finish('all')
      const committer = await openCommitter(table, `process-${seed}`, { ...ports, random })
      const result = await committer.commit(files)
      for (const file of files) flusher.settle(file)
      return { ...result, failed }
    },
  }
}

type Rows = Record<string, unknown>[]

/** The rows of a table as hyparquet, a reader of another make, sees them. */
export async function rowsOf(storage: Storage, table = CLICKS): Promise<Rows> {
  return (await filesOf(storage, table)).flat()
}

/** The rows of each file of a table. */
export const filesOf = (storage: Storage, table = CLICKS): Promise<Rows[]> =>
  Array.fromAsync(rowsByFile(storage, table))

/** The same, one file after the other, for tables that do not fit in memory. */
export async function* rowsByFile(storage: Storage, table = CLICKS): AsyncGenerator<Rows> {
  const root = table.replaceAll('.', '/')
  const snapshot = await readSnapshot(storage, root)
  for (const file of snapshot?.files.values() ?? []) {
    const bytes = (await storage.get(`${root}/${decodeURIComponent(file.path)}`))!
    const buffer = {
      byteLength: bytes.byteLength,
      slice: (start: number, end?: number) => bytes.slice(start, end).buffer as ArrayBuffer,
    }
    yield await parquetReadObjects({ file: buffer })
  }
}

/** Records `from` to `to - 1` of a session as NDJSON; each id is unique to session and offset. */
export const rowsText = (session: string, from: number, to: number): Uint8Array =>
  Buffer.from(Array.from({ length: to - from }, (_, i) => `{"id":"${session}:${from + i}","n":${from + i}}\n`).join(''))

export const batchOf = (session: string, from: number, to: number): IngestBatch => ({
  session,
  offset: from,
  count: to - from,
  encoding: 'none',
  body: rowsText(session, from, to),
})
