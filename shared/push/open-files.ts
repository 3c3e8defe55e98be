import type { BatchOptions } from '../columnar/batch-writer.ts'
import { type Clock, hasPassed } from '../core/clock.ts'
import { invariant } from '../core/errors.ts'
import type { Random } from '../core/random.ts'
import type { AddFile } from '../delta/actions.ts'
import { addFile } from '../delta/stats.ts'
import { addRanges, type Intervals, overlaps, without } from './intervals.ts'
import type { BatchHeader } from './receive.ts'
import type { TableSchema } from './schemas.ts'
import { isRefusal, type OpenTableFile, type TableFile } from './table-file.ts'
import type { PushTable } from './tables.ts'

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

/** A file that takes rows, and what it stands for once it is committed. */
export interface OpenFile {
  readonly key: string
  readonly table: PushTable
  readonly schema: TableSchema
  /** Relative to the table. */
  readonly path: string
  readonly lane: number
  readonly openedMs: number
  oldestMs: number
  bytes: number
  readonly ranges: Map<string, Intervals>
  readonly receipts: Set<string>
  /** Batches on their way in: the file is closed after them. */
  readonly pending: Set<Promise<unknown>>
  pendingBytes: number
}

export interface OpenFilesPorts {
  clock: Clock
  random: Random
  openFile: OpenTableFile
}

export interface OpenFilesLimits {
  /** A file is full when it has taken this many bytes as they came. */
  fileBytes: number
  /** Sessions of one file: its commit is remembered as one entry of the state store, which has a size limit. */
  fileSessions: number
  /** Files of one table that are filled beside each other when one is not enough. */
  lanes: number
  batchBytes: number
}

/** A session stays in its lane, so that a file stands for few ranges of it, until the lane is this far behind another. */
const LANE_SLACK_BYTES = 1 << 19

/**
 * The files that are being written, of all tables. Which offsets a file stands for is noted in the turn they are claimed,
 * before the first await, so that no two files ever claim the same.
 */
export function openFiles(ports: OpenFilesPorts, limits: OpenFilesLimits) {
  const open = new Map<string, OpenFile>()
  const full: OpenFile[] = []
  /** Not yet known to be committed or refused, open ones included; by path. */
  const unsettled = new Map<string, OpenFile>()
  const writers = new Map<OpenFile, Promise<TableFile>>()

  /** The open files for batches of this kind, by lane. */
  function lanesOf(kind: string): (OpenFile | undefined)[] {
    return Array.from({ length: limits.lanes }, (_, lane) => open.get(`${kind}#${lane}`))
  }

  function laneFor(kind: string, session: string): number {
    const files = lanesOf(kind)
    const waiting = files.map((file) => file?.pendingBytes ?? 0)
    const best = waiting.indexOf(Math.min(...waiting))
    const own = files.findIndex((file) => file?.ranges.has(session))
    return own >= 0 && waiting[own]! <= waiting[best]! + LANE_SLACK_BYTES ? own : best
  }

  function openIn(lane: number, kind: string, table: PushTable, schema: TableSchema, options: string): OpenFile {
    const path = `part-00000-${ports.random.uuid()}.c000.snappy.parquet`
    const file: OpenFile = {
      key: `${kind}#${lane}`,
      table,
      schema,
      path,
      lane,
      openedMs: ports.clock.now(),
      oldestMs: Number.POSITIVE_INFINITY,
      bytes: 0,
      ranges: new Map(),
      receipts: new Set(),
      pending: new Set(),
      pendingBytes: 0,
    }
    open.set(file.key, file)
    unsettled.set(path, file)
    const opening = ports.openFile({
      path: `${table.root}/${path}`,
      schema: schema.schema,
      options: JSON.parse(options) as BatchOptions,
      key: kind,
      lane,
      batchBytes: limits.batchBytes,
    })
    opening.catch(() => {})
    writers.set(file, opening)
    return file
  }

  function retire(file: OpenFile) {
    if (open.get(file.key) !== file) return
    open.delete(file.key)
    full.push(file)
  }

  /** The file may hold a part of a batch: it is given up, and its records come again after their visibility. */
  async function giveUp(file: OpenFile) {
    if (!writers.has(file)) return
    const writer = writers.get(file)!
    writers.delete(file)
    if (open.get(file.key) === file) open.delete(file.key)
    const at = full.indexOf(file)
    if (at >= 0) full.splice(at, 1)
    unsettled.delete(file.path)
    await writer.then((made) => made.abort()).catch(() => {})
  }

  return {
    /** The unsettled file of the table that holds all of these offsets, or `some` when files hold a part of them. */
    holderOf(table: string, { session, from, to }: BatchHeader): OpenFile | 'some' | undefined {
      for (const file of unsettled.values()) {
        const ranges = file.table.name === table ? (file.ranges.get(session) ?? []) : []
        if (ranges.some(([start, end]) => start <= from && end >= to)) return file
        if (overlaps(ranges, from, to)) return 'some'
      }
      return undefined
    },

    /** Takes these offsets of a batch for a file. Nothing is awaited. */
    claim(table: PushTable, schema: TableSchema, header: BatchHeader, offsets: Intervals, bytes: number): OpenFile {
      const { session, options } = header
      const kind = `${table.name}#${schema.version}#${options}`
      const lane = laneFor(kind, session)
      const before = open.get(`${kind}#${lane}`)
      // Rows of a session stand in a file in the order of their offsets: a batch that comes late begins another file.
      const isLate = (before?.ranges.get(session)?.at(-1)?.[1] ?? 0) > header.from
      if (before && isLate) retire(before)
      const file = before && !isLate ? before : openIn(lane, kind, table, schema, options)
      const ranges = file.ranges.get(session) ?? []
      file.ranges.set(session, addRanges(ranges, offsets))
      file.bytes += bytes
      file.oldestMs = Math.min(file.oldestMs, header.atMs)
      if (file.bytes >= limits.fileBytes || file.ranges.size >= limits.fileSessions) retire(file)
      return file
    },

    /** Gives claimed offsets back: their rows were not written. */
    unclaim(file: OpenFile, session: string, offsets: Intervals) {
      const left = offsets.reduce<Intervals>(
        (set, [from, to]) => without(set, from, to),
        file.ranges.get(session) ?? [],
      )
      if (left.length > 0) file.ranges.set(session, left)
      else file.ranges.delete(session)
    },

    /** Keeps the file open until this is over. */
    hold(file: OpenFile, bytes: number, work: Promise<unknown>) {
      const quiet = work.catch(() => {})
      file.pending.add(quiet)
      file.pendingBytes += bytes
      void quiet.then(() => {
        file.pending.delete(quiet)
        file.pendingBytes -= bytes
      })
    },

    /** Writes into the file. One whose writing failed is given up, unless only the batch was refused. */
    async write<T>(file: OpenFile, work: (writer: TableFile) => Promise<T>): Promise<T> {
      try {
        const writer = await writers.get(file)
        invariant(writer, 'a file was given up while batches were on their way to it')
        return await work(writer)
      } catch (error) {
        if (!isRefusal(error)) await giveUp(file)
        throw error
      }
    },

    /** No more rows go into the files that are older than this; they wait to be closed. */
    retireOlderThan(ageMs: number) {
      const now = ports.clock.now()
      for (const file of [...open.values()]) if (hasPassed(file.openedMs, ageMs, now)) retire(file)
    },

    takeFull: (): OpenFile[] => full.splice(0),

    /** Ends a file after all batches on their way into it. Undefined when it was given up, or stands for nothing. */
    async close(file: OpenFile): Promise<FlushedFile | undefined> {
      while (file.pending.size > 0) await Promise.all(file.pending)
      const writer = writers.get(file)
      if (!writer) return undefined
      try {
        const finished = await (await writer).finish()
        writers.delete(file)
        if (file.ranges.size === 0) {
          unsettled.delete(file.path)
          return undefined
        }
        const { table, path } = file
        const modificationTimeMs = ports.clock.now()
        const add =
          finished && addFile(path, finished, file.schema.schema, table.snapshot.metadata, { modificationTimeMs })
        return {
          table: table.name,
          path,
          ...(add && { add }),
          rows: finished?.rows ?? 0,
          ranges: Object.fromEntries(file.ranges),
          receipts: [...file.receipts],
          oldestMs: file.oldestMs,
        }
      } catch (error) {
        await giveUp(file)
        throw error
      }
    },

    /** Whether the file was committed or refused is known. */
    settle: (path: string) => void unsettled.delete(path),
  }
}

export type OpenFiles = ReturnType<typeof openFiles>
