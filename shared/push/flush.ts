import { hasPassed } from '../core/clock.ts'
import { IngestError } from '../core/errors.ts'
import type { Queue, ReceivedRecord } from '../queue/queue.ts'
import type { StateStore } from '../state/state-store.ts'
import { isForGood } from './dead-letters.ts'
import { type Intervals, missingFrom, overlaps } from './intervals.ts'
import { type FlushedFile, type OpenFilesLimits, type OpenFilesPorts, openFiles } from './open-files.ts'
import { headerOf, type WriteThrough, type Written } from './receive.ts'
import { committedRanges } from './stored-sessions.ts'
import { isRefusal } from './table-file.ts'
import type { PushTables } from './tables.ts'

export interface FlushPorts extends OpenFilesPorts {
  state: StateStore
  queue: Pick<Queue, 'delete'>
  tables: PushTables
  /**
   * Puts aside the records of a batch that can never be stored in its table, so that they hold up nothing; the batch is
   * deleted from the queue then. Without it such a batch comes again like any other.
   */
  keepAside?(record: ReceivedRecord, missing: Intervals, error: IngestError): Promise<void>
}

export interface FlushLimits extends OpenFilesLimits {
  /** A file is closed when its first record was taken this long ago. */
  fileAgeMs: number
}

export const defaultFlushLimits: FlushLimits = {
  fileBytes: 64 << 20,
  fileAgeMs: 1000,
  fileSessions: 200,
  lanes: 1,
  batchBytes: 16 << 20,
}

/** How long a received record is left alone: longer than any flush and commit takes. */
export const VISIBILITY_MS = 60_000

/**
 * Queue records -> Parquet files, one a table (and schema version) and lane at a time. A queue may deliver twice and a
 * producer may send twice, so what is committed already, or already in a file, is left out here; what slips through is found
 * by the commit.
 */
export interface Flusher {
  /**
   * Resolves when each record is in a file, or a duplicate. A table that fails does not hold up the others; its records come
   * again after their visibility, and its error is returned.
   */
  take(records: readonly ReceivedRecord[]): Promise<IngestError[]>
  /**
   * A batch that was just received and is in no queue yet goes straight into the open file, by which it is checked: its rows
   * are decompressed and parsed once. Undefined when it has to go the long way: it is or may be known already, or no file
   * can be written now.
   */
  write: WriteThrough
  /** Closes the files that are full or old, or all of them. */
  finish(which: 'due' | 'all'): Promise<FlushedFile[]>
  /** Whether the file was committed or refused is known, and what it holds is no longer in between. */
  settle(file: FlushedFile): void
  /** The table takes no commit, for a reason that stays: what comes for it in the next minutes is kept aside. */
  refuse(table: string, error: IngestError): void
}

/** Longer than a record's visibility, so that what was in the refused files is kept aside too. */
const REFUSED_MS = 2 * VISIBILITY_MS

/** Sessions whose committed ranges are remembered. */
const KNOWN_SESSIONS = 10_000

export function createFlusher(ports: FlushPorts, limits: FlushLimits = defaultFlushLimits): Flusher {
  const files = openFiles(ports, limits)
  /** Of sessions that write through: read once after each of their commits, not once a batch. */
  const committed = new Map<string, Promise<Intervals>>()
  const tablesRefused = new Map<string, { error: IngestError; sinceMs: number }>()
  /** Closed, not yet handed over: another file failed in the same call. */
  const finished: FlushedFile[] = []
  const nameOf = (table: string, session: string) => `${table}#${session}`

  async function knownCommitted(table: string, session: string): Promise<Intervals> {
    const name = nameOf(table, session)
    for (;;) {
      const reading = committed.get(name) ?? committedRanges(table, session, ports.state)
      committed.set(name, reading)
      if (committed.size > KNOWN_SESSIONS) committed.delete(committed.keys().next().value!)
      try {
        const ranges = await reading
        // Forgotten meanwhile: there was a commit.
        if (committed.get(name) === reading) return ranges
      } catch (error) {
        committed.delete(name)
        throw error
      }
    }
  }

  /** What of a record is to be written: nothing while a file that holds it is on its way, or when all is in the table. */
  async function missingOf(record: ReceivedRecord): Promise<Intervals | undefined> {
    const header = headerOf(record)
    const holder = files.holderOf(record.group, header)
    if (holder) {
      // In a file that is on its way into the table: it comes again after its visibility, when that is settled. Written into
      // another file now, it would have that file refused, with all the innocent records in it.
      if (holder !== 'some' && holder.pending.size === 0) holder.receipts.add(record.receipt)
      return undefined
    }
    const known = await committedRanges(record.group, header.session, ports.state)
    const missing = missingFrom(known, header.from, header.to)
    if (missing.length > 0) return missing
    await ports.queue.delete([record.receipt])
    return undefined
  }

  /** Begins to write a record; the promise inside is the end of it. */
  async function begin(record: ReceivedRecord, missing: Intervals): Promise<{ written: Promise<void> } | undefined> {
    const header = headerOf(record)
    const { group, body } = record
    const refused = tablesRefused.get(group)
    if (refused && !hasPassed(refused.sinceMs, REFUSED_MS, ports.clock.now())) throw refused.error
    const table = await ports.tables.open(group)
    if (!table) throw new IngestError('table.missing', `the table ${group} was dropped while it had events to store`)
    const schema = await ports.tables.schemaAt(table, header.schemaVersion)
    if (files.holderOf(group, header)) return undefined
    const file = files.claim(table, schema, header, missing, body.length)
    const all = missingFrom(missing, header.from, header.to).length === 0
    const keep = missing.map(([from, to]) => [from - header.from, to - header.from] as const)
    const rows = { body, encoding: header.encoding, ...(all ? {} : { keep }) }
    const writing = body.length === 0 ? Promise.resolve() : files.write(file, (writer) => writer.append(rows))
    const written = writing.then(
      () => void file.receipts.add(record.receipt),
      (error) => {
        files.unclaim(file, header.session, missing)
        throw error
      },
    )
    files.hold(file, body.length, written)
    return { written }
  }

  return {
    async take(records) {
      const failed = new Map<string, IngestError>()
      const keptAside = new Map<string, IngestError>()
      const begun: { record: ReceivedRecord; missing: Intervals; written: Promise<void> }[] = []
      const attempt = async (record: ReceivedRecord, missing: Intervals | undefined, work: () => Promise<unknown>) => {
        try {
          await work()
        } catch (error) {
          if (!(error instanceof IngestError)) throw error
          if (!missing || !ports.keepAside || !isForGood(error)) return void failed.set(record.group, error)
          keptAside.set(record.group, error)
          await attempt(record, undefined, async () => {
            await ports.keepAside!(record, missing, error)
            await ports.queue.delete([record.receipt])
          })
        }
      }
      for (const record of inOrder(records)) {
        if (failed.has(record.group)) continue
        await attempt(record, undefined, async () => {
          const missing = await missingOf(record)
          if (!missing) return
          await attempt(record, missing, async () => {
            const one = await begin(record, missing)
            if (one) begun.push({ record, missing, ...one })
          })
        })
      }
      for (const { record, missing, written } of begun) await attempt(record, missing, () => written)
      return [...failed.values(), ...keptAside.values()]
    },

    async write(table, schema, header, { body, whole }) {
      const { session, from, to, encoding } = header
      const known = await knownCommitted(table.name, session)
      if (overlaps(known, from, to) || files.holderOf(table.name, header)) return undefined
      const file = files.claim(table, schema, header, [[from, to]], body.length)
      const stored = Promise.withResolvers<void>()
      files.hold(file, body.length, stored.promise)
      const giveBack = () => {
        files.unclaim(file, session, [[from, to]])
        stored.resolve()
      }
      const add = async (): Promise<Written | undefined> => {
        try {
          const added = await files.write(file, (writer) => writer.add({ body, encoding, count: to - from, whole }))
          if (!added.kept) giveBack()
          return {
            ...added,
            stored(receipt) {
              if (receipt !== undefined) file.receipts.add(receipt)
              stored.resolve()
            },
          }
        } catch (error) {
          giveBack()
          if (isRefusal(error) || !(error instanceof IngestError)) throw error
          return undefined
        }
      }
      return { written: add() }
    },

    async finish(which) {
      files.retireOlderThan(which === 'all' ? 0 : limits.fileAgeMs)
      const results = await Promise.allSettled(files.takeFull().map(files.close))
      for (const result of results) if (result.status === 'fulfilled' && result.value) finished.push(result.value)
      const failed = results.find((result) => result.status === 'rejected')
      if (failed) throw failed.reason
      return finished.splice(0)
    },

    refuse: (table, error) => void tablesRefused.set(table, { error, sinceMs: ports.clock.now() }),

    settle(file) {
      files.settle(file.path)
      for (const session of Object.keys(file.ranges)) committed.delete(nameOf(file.table, session))
    },
  }
}

/** A session's records by offset, so that rows stand in a file in the order they were sent. */
function inOrder(records: readonly ReceivedRecord[]): ReceivedRecord[] {
  return [...records].sort((a, b) => {
    const [first, second] = [headerOf(a), headerOf(b)]
    return first.session === second.session ? first.from - second.from : 0
  })
}
