import type { BatchOptions } from '../columnar/batch-writer.ts'
import type { Clock } from '../core/clock.ts'
import { IngestError } from '../core/errors.ts'
import type { Random } from '../core/random.ts'
import type { AddFile } from '../delta/actions.ts'
import { addFile } from '../delta/stats.ts'
import type { Queue, ReceivedRecord } from '../queue/queue.ts'
import type { StateStore } from '../state/state-store.ts'
import { addRange, type Intervals, missingFrom, overlaps } from './intervals.ts'
import { type BatchHeader, headerOf } from './receive.ts'
import { committedRanges } from './stored-sessions.ts'
import type { OpenTableFile, TableFile } from './table-file.ts'
import type { PushTable, PushTables } from './tables.ts'

/** A staged file and the records it holds: what a committer commits. */
export interface FlushedFile {
  table: string
  /** Relative to the table. */
  path: string
  /** Undefined when no record of it has a row: all were left out. */
  add?: AddFile
  rows: number
  /** The offsets of each session that the file stands for. */
  ranges: Readonly<Record<string, Intervals>>
  /** Of the queue records to delete once the file is committed. */
  receipts: readonly string[]
  /** When the oldest of its records was received. */
  oldestMs: number
}

export interface FlushPorts {
  state: StateStore
  queue: Pick<Queue, 'delete'>
  tables: PushTables
  clock: Clock
  random: Random
  openFile: OpenTableFile
}

export interface FlushLimits {
  /** A file is full when it has taken this many bytes as they came. */
  fileBytes: number
  /** A file is closed when its first record was taken this long ago. */
  fileAgeMs: number
  /** Sessions of one file: its commit is remembered as one entry of the state store, which has a size limit. */
  fileSessions: number
  batchBytes: number
}

export const defaultFlushLimits: FlushLimits = {
  fileBytes: 64 << 20,
  fileAgeMs: 1000,
  fileSessions: 200,
  batchBytes: 16 << 20,
}

/**
 * Queue records -> Parquet files, one a table (and schema version) at a time. A queue may deliver twice and a producer may
 * send twice, so what is committed already, or already in an open file, is left out here; what slips through is found by
 * the commit.
 */
export interface Flusher {
  /**
   * Resolves when each record is in a file, or a duplicate. A table that fails does not hold up the others; its records come
   * again after their visibility, and its error is returned.
   */
  take(records: readonly ReceivedRecord[]): Promise<IngestError[]>
  /** Closes the files that are full or old, or all of them. */
  finish(which: 'due' | 'all'): Promise<FlushedFile[]>
  /** Whether the file was committed or refused is known, and what it holds is no longer in between. */
  settle(file: FlushedFile): void
  /** Bytes taken into files that are not closed yet. */
  readonly openBytes: number
}

interface OpenFile {
  table: PushTable
  file: TableFile
  path: string
  schemaVersion: number
  openedMs: number
  oldestMs: number
  bytes: number
  ranges: Map<string, Intervals>
  receipts: string[]
}

export function createFlusher(ports: FlushPorts, limits: FlushLimits = defaultFlushLimits): Flusher {
  const open = new Map<string, OpenFile>()
  const full: OpenFile[] = []
  /** Closed, and not yet known to be committed or refused; by path. */
  const unsettled = new Map<string, OpenFile>()

  async function take(record: ReceivedRecord) {
    const header = headerOf(record)
    const key = `${record.group}#${header.schemaVersion}#${header.options}`
    const inFile = open.get(key)?.ranges.get(header.session) ?? []
    if (missingFrom(inFile, header.from, header.to).length === 0) {
      open.get(key)!.receipts.push(record.receipt)
      return
    }
    // In a file that is on its way into the table: it comes again after its visibility, when that is settled. Written into
    // another file now, it would have that file refused, with all the innocent records in it.
    if (overlaps(inFile, header.from, header.to) || isUnsettled(record.group, header)) return
    const committed = await committedRanges(record.group, header.session, ports.state)
    const missing = missingFrom(committed, header.from, header.to)
    if (missing.length === 0) return ports.queue.delete([record.receipt])

    const target = open.get(key) ?? (await openFor(record.group, header))
    open.set(key, target)
    const whole = missing[0]![0] === header.from && missing[0]![1] === header.to
    const keep = missing.map(([from, to]) => [from - header.from, to - header.from] as const)
    try {
      if (record.body.length > 0)
        await target.file.append({ body: record.body, encoding: header.encoding, ...(whole ? {} : { keep }) })
    } catch (error) {
      // The file may hold a part of the batch: it is given up, and its records come again after their visibility.
      open.delete(key)
      await target.file.abort()
      throw error
    }
    target.bytes += record.body.length
    target.oldestMs = Math.min(target.oldestMs, header.atMs)
    target.receipts.push(record.receipt)
    target.ranges.set(
      header.session,
      missing.reduce<Intervals>((set, [from, to]) => addRange(set, from, to), inFile),
    )
    if (target.bytes >= limits.fileBytes || target.ranges.size >= limits.fileSessions) retire(key, target)
  }

  function isUnsettled(name: string, { session, from, to }: BatchHeader): boolean {
    for (const { table, ranges } of unsettled.values())
      if (table.name === name && overlaps(ranges.get(session) ?? [], from, to)) return true
    return false
  }

  function retire(key: string, target: OpenFile) {
    open.delete(key)
    full.push(target)
    unsettled.set(target.path, target)
  }

  async function openFor(name: string, header: BatchHeader): Promise<OpenFile> {
    const table = await ports.tables.open(name)
    if (!table) throw new IngestError('table.missing', `the table ${name} was dropped while it had events to store`)
    const { schema } = await ports.tables.schemaAt(table, header.schemaVersion)
    const path = `part-00000-${ports.random.uuid()}.c000.snappy.parquet`
    const file = await ports.openFile({
      path: `${table.root}/${path}`,
      schema,
      options: JSON.parse(header.options) as BatchOptions,
      batchBytes: limits.batchBytes,
    })
    const now = ports.clock.now()
    return {
      table,
      file,
      path,
      schemaVersion: header.schemaVersion,
      openedMs: now,
      oldestMs: header.atMs,
      bytes: 0,
      ranges: new Map(),
      receipts: [],
    }
  }

  async function close(target: OpenFile): Promise<FlushedFile> {
    const { table, path, ranges, receipts, oldestMs } = target
    try {
      const finished = await target.file.finish()
      const { schema } = await ports.tables.schemaAt(table, target.schemaVersion)
      const modificationTimeMs = ports.clock.now()
      return {
        table: table.name,
        path,
        ...(finished && { add: addFile(path, finished, schema, table.snapshot.metadata, { modificationTimeMs }) }),
        rows: finished?.rows ?? 0,
        ranges: Object.fromEntries(ranges),
        receipts,
        oldestMs,
      }
    } catch (error) {
      // Its records come again after their visibility.
      unsettled.delete(path)
      throw error
    }
  }

  return {
    get openBytes() {
      return [...open.values(), ...full].reduce((sum, target) => sum + target.bytes, 0)
    },

    async take(records) {
      const failed = new Map<string, IngestError>()
      for (const record of inOrder(records)) {
        if (failed.has(record.group)) continue
        try {
          await take(record)
        } catch (error) {
          if (!(error instanceof IngestError)) throw error
          failed.set(record.group, error)
        }
      }
      return [...failed.values()]
    },

    async finish(which) {
      const now = ports.clock.now()
      for (const [key, target] of open) {
        if (which === 'due' && now - target.openedMs < limits.fileAgeMs) continue
        retire(key, target)
      }
      return Promise.all(full.splice(0).map(close))
    },

    settle: (file) => void unsettled.delete(file.path),
  }
}

/** A session's records by offset, so that rows stand in a file in the order they were sent. */
function inOrder(records: readonly ReceivedRecord[]): ReceivedRecord[] {
  return [...records].sort((a, b) => {
    const [first, second] = [headerOf(a), headerOf(b)]
    return first.session === second.session ? first.from - second.from : 0
  })
}
