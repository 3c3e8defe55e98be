import { IngestError } from '../../core/errors.ts'
import type { Selection } from '../connector.ts'
import { type Kind, Spool } from './spool.ts'

/**
 * What a log tells of some tables, in its order; one transaction stands between `begin` and `end`. Texts are the source's
 * own, and made only when somebody wants them. `until` is the last entry: nothing that was asked for is left before it,
 * except with `more`.
 */
export type LogEntry =
  | { kind: 'begin'; transaction: () => string }
  | { kind: 'part'; table: string; bytes: Buffer }
  | { kind: 'end'; place: () => string }
  | { kind: 'until'; place: () => string; more: boolean }

export type LogEntries = AsyncGenerator<readonly LogEntry[], void, undefined>

/** The log of a database, as the tables of a pipeline share it. Tables are named by `tableId`, places by texts of the source. */
export interface SourceLog {
  /** What was committed after a place, as far as it is about these tables; up to `upto`, or what is there now. */
  read(range: { after: string; upto?: string; tables: readonly string[] }): LogEntries
  /** A reader at one place has everything that a reader at the other has. */
  contains(place: string, other: string): boolean
}

/** The tables that read the log with a selection's own: none with `upToNow`, as a read that began for another may end too early. */
export const together = ({ captured = [] }: Selection, { upToNow } = { upToNow: false }): string[] =>
  upToNow ? [] : captured.map(tableId)

export const tableId = ({ schema, name }: { schema: string; name: string }): string => JSON.stringify([schema, name])

/** One table's way through the log. It holds a place on the machine until it is closed. */
export interface LogReading {
  /** Entries of this table. Those of before the place asked for come too where others need them: they are to be left out. */
  entries(): LogEntries
  close(): void
}

export interface SharedLogLimits {
  /** A read ends behind the transaction that passes this many bytes; tables then go on with another one. */
  readBytes: number
  /** What was read is kept up to this, for tables that come later. */
  keptBytes: number
  /** A read with a transaction beyond this is given up, and tables read for themselves. */
  giveUpBytes: number
  /** Bytes that wait in memory before they go to the disk. */
  memoryBytes: number
}

const defaults: SharedLogLimits = {
  readBytes: 128 << 20,
  keptBytes: 512 << 20,
  giveUpBytes: 1 << 30,
  memoryBytes: 8 << 20,
}

/**
 * One read of a log for all tables of a pipeline: 100 tables would have the server decode it 100 times. What belongs to a
 * table waits for it, in memory and then on disk, so that each goes on at its own pace and commits for itself, and one
 * that fails neither stops the others nor loses anything: it comes again from its own place, by a read of its own where
 * the shared one began later. Nothing here outlives the connection; places are kept by the tables.
 */
export class SharedLog {
  readonly #log: SourceLog
  readonly #limits: SharedLogLimits
  #reads: SharedRead[] = []
  readonly #running = new Set<Promise<void>>()
  #alone = false
  #closing = false

  constructor(log: SourceLog, limits: Partial<SharedLogLimits> = {}) {
    this.#log = log
    this.#limits = { ...defaults, ...limits }
  }

  /** @param together all tables that may come for the same log, this one among them */
  open(table: string, together: readonly string[], range: { after: string; upto?: string }): LogReading {
    if (this.#alone || together.length < 2 || !together.includes(table))
      return { entries: () => this.#log.read({ ...range, tables: [table] }), close: () => {} }
    const read = this.#covering(range.after, table) ?? this.#begin(range, together)
    read.readers++
    return {
      entries: () => read.entriesOf(table),
      close: () => {
        read.readers--
        if (read.readers === 0 && !this.#reads.includes(read)) read.forget()
      },
    }
  }

  /** Ends what still reads. Waits for it a moment, for a server that wants to be left in order. */
  async close(): Promise<void> {
    this.#closing = true
    for (const read of this.#reads) read.stop()
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<void>((done) => {
      timer = setTimeout(done, 2_000)
    })
    await Promise.race([Promise.all(this.#running), late])
    clearTimeout(timer)
    for (const read of this.#reads.splice(0)) read.forget()
  }

  #covering(place: string, table: string): SharedRead | undefined {
    return this.#reads.find(
      (read) =>
        read.isFor(table) &&
        this.#log.contains(place, read.start) &&
        (read.end === undefined || !this.#log.contains(place, read.end)),
    )
  }

  #begin(range: { after: string; upto?: string }, tables: readonly string[]): SharedRead {
    this.#makeRoom()
    const read = new SharedRead(this.#log, range, tables, this.#limits)
    this.#reads.push(read)
    const running = read.run().then((outcome) => {
      this.#running.delete(running)
      if (outcome === 'too big') this.#alone = true
      // A read that failed serves nobody who comes later.
      if (outcome !== 'done') this.#drop(read)
    })
    this.#running.add(running)
    if (this.#closing) read.stop()
    return read
  }

  #makeRoom(): void {
    let kept = this.#reads.reduce((sum, read) => sum + read.bytes, 0)
    for (const read of [...this.#reads]) {
      if (kept < this.#limits.keptBytes) return
      if (read.readers > 0 || read.end === undefined) continue
      kept -= read.bytes
      this.#drop(read)
    }
  }

  #drop(read: SharedRead): void {
    this.#reads = this.#reads.filter((each) => each !== read)
    if (read.readers === 0) read.forget()
  }
}

/** One pass over a part of the log, taken apart by table as it comes. */
class SharedRead {
  readonly start: string
  /** Undefined while it is being read. */
  end: string | undefined
  readers = 0
  readonly #entries: LogEntries
  readonly #limits: SharedLogLimits
  readonly #spool: Spool
  readonly #tables: ReadonlySet<string>
  #more = false
  #failure: unknown
  #stopped = false
  #changed = Promise.withResolvers<void>()

  constructor(
    log: SourceLog,
    range: { after: string; upto?: string },
    tables: readonly string[],
    limits: SharedLogLimits,
  ) {
    this.start = range.after
    this.#entries = log.read({ ...range, tables })
    this.#limits = limits
    this.#spool = new Spool(limits.memoryBytes)
    this.#tables = new Set(tables)
  }

  get bytes(): number {
    return this.#spool.bytes
  }

  isFor(table: string): boolean {
    return this.#tables.has(table) && this.#failure === undefined
  }

  /** Reads to its end; what fails is told to the tables. */
  async run(): Promise<'done' | 'failed' | 'too big'> {
    let begin: string | undefined
    const touched = new Set<string>()
    const spool = this.#spool
    try {
      for await (const entries of this.#entries) {
        if (this.#stopped) break
        for (const entry of entries)
          if (entry.kind === 'part') {
            if (!touched.has(entry.table)) {
              touched.add(entry.table)
              spool.write(entry.table, 'begin', Buffer.from(begin ?? ''))
            }
            spool.write(entry.table, 'part', entry.bytes)
          } else if (entry.kind === 'begin') {
            begin = entry.transaction()
          } else if (entry.kind === 'end') {
            const isFull = spool.bytes >= this.#limits.readBytes
            if (touched.size === 0 && !isFull) continue
            const place = entry.place()
            for (const table of touched) spool.write(table, 'end', Buffer.from(place))
            touched.clear()
            if (isFull) {
              this.#more = true
              this.end = place
              return 'done'
            }
          } else {
            this.#more = entry.more
            this.end = entry.place()
          }
        if (spool.bytes > this.#limits.giveUpBytes) throw tooBig()
        await spool.settle()
        this.#tell()
      }
      if (this.end === undefined) throw new IngestError('source.unavailable', 'the read of the log was ended')
      return 'done'
    } catch (error) {
      this.#failure = error
      const noRoom = (error as { code?: string }).code === 'ENOSPC'
      if (noRoom) this.#failure = tooBig(error)
      return noRoom || spool.bytes > this.#limits.giveUpBytes ? 'too big' : 'failed'
    } finally {
      this.#tell()
    }
  }

  async *entriesOf(table: string): LogEntries {
    for (let block = 0; ; ) {
      const frames = await this.#spool.read(table, block)
      if (frames) {
        block++
        yield frames.map(({ kind, bytes }) => entryOf(kind, table, bytes))
        continue
      }
      if (this.#failure !== undefined) throw this.#failure
      if (this.end !== undefined) break
      await this.#changed.promise
    }
    const { end } = this
    yield [{ kind: 'until', place: () => end!, more: this.#more }]
  }

  stop(): void {
    this.#stopped = true
  }

  forget(): void {
    this.#stopped = true
    this.#failure ??= new IngestError('source.unavailable', 'the read of the log was ended')
    this.#spool.close()
  }

  #tell(): void {
    this.#changed.resolve()
    this.#changed = Promise.withResolvers()
  }
}

function entryOf(kind: Kind, table: string, bytes: Buffer): LogEntry {
  if (kind === 'part') return { kind, table, bytes }
  const text = () => bytes.toString('utf8')
  return kind === 'begin' ? { kind, transaction: text } : { kind, place: text }
}

const tooBig = (cause?: unknown) =>
  new IngestError(
    'source.unavailable',
    'what one read of the log brings has no room on the disk: each table reads it for itself',
    { cause },
  )
