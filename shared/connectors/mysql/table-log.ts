import { type LogEntries, type LogEntry, SharedLog, type SourceLog, tableId } from '../../connector/sql/shared-log.ts'
import { IngestError } from '../../core/errors.ts'
import {
  type Begin,
  eventType,
  type LogEvent,
  readBegin,
  readQuery,
  readTableMap,
  rowsKind,
  tableIdOf,
} from './log-events.ts'
import { contains, type FileOffset, isBefore, type LogPlace, MovingPlace, nameText } from './log-place.ts'
import { readLog } from './log-reader.ts'
import type { Sessions } from './session.ts'

/** Places as the texts of a shared log. */
export const placeText = (place: LogPlace): string => JSON.stringify(place)
export const placeOf = (text: string): LogPlace => JSON.parse(text)

/** The server's log by table. */
export function binaryLog(sessions: Sessions): SharedLog {
  const log: SourceLog = {
    contains: (place, other) => contains(placeOf(place), placeOf(other)),
    async *read({ after, tables }): LogEntries {
      const { foldsNames } = await sessions.server()
      const place = placeOf(after)
      const walk = new LogWalk(place, tables, foldsNames)
      const what = `read the changes of ${tables.length > 1 ? `${tables.length} tables` : JSON.parse(tables[0]!).join('.')}`
      for await (const events of readLog(sessions, what, place, (end) => walk.stopAt(end))) {
        const entries: LogEntry[] = []
        for (const event of events) {
          walk.take(event, entries)
          if (walk.done) break
        }
        if (entries.length > 0) yield entries
        if (walk.done) break
      }
      const reached = placeText(walk.place)
      yield [{ kind: 'until', place: () => reached, more: false }]
    },
  }
  return new SharedLog(log)
}

/**
 * One pass over the log: which transaction it is in, and which table each part is about. Statements other than the bounds
 * of transactions are told to every table: what they do to it is for its reader to find out.
 */
class LogWalk {
  readonly #place: MovingPlace
  readonly #kind: LogPlace['kind']
  readonly #folds: boolean
  readonly #tables: readonly string[]
  /** By name as the server compares them. */
  readonly #wanted: ReadonlyMap<string, string>
  #file: FileOffset = { file: '', offset: 0 }
  #stop: FileOffset | undefined
  #begin: Begin | undefined
  #beganAt: FileOffset | undefined
  /** Between BEGIN and its end. */
  #open = false
  /** Something was told of this transaction. */
  #told = false
  /** The tables by their ids in this transaction. */
  #ids = new Map<number, string>()
  done = false

  constructor(place: LogPlace, tables: readonly string[], folds: boolean) {
    this.#place = new MovingPlace(place)
    this.#kind = place.kind
    this.#folds = folds
    this.#tables = tables
    this.#wanted = new Map(tables.map((table) => [this.#folded(table), table]))
  }

  get place(): LogPlace {
    return this.#place.place
  }

  /** The log was this long when the reading began: what comes later is the next run's. */
  stopAt(end: FileOffset): void {
    this.#stop = end
  }

  take(event: LogEvent, entries: LogEntry[]): void {
    this.#move(event)
    if (rowsKind(event.type) !== undefined || event.type === eventType.partialUpdate) {
      const table = this.#ids.get(tableIdOf(event.body))
      if (table !== undefined) this.#tell(table, event, entries)
      return
    }
    switch (event.type) {
      case eventType.tableMap: {
        const { id, schema, table: name } = readTableMap(event.body)
        const table = this.#wanted.get(this.#folded(tableId({ schema, name })))
        if (table === undefined) this.#ids.delete(id)
        else {
          this.#ids.set(id, table)
          this.#tell(table, event, entries)
        }
        return
      }
      case eventType.gtid:
      case eventType.mariadbGtid:
        this.#begin = readBegin(event)
        this.#beganAt = this.#file
        this.#open = !this.#begin.alone && event.type === eventType.mariadbGtid
        return
      case eventType.query:
      case eventType.compressedQuery:
        this.#statement(event, entries)
        return
      case eventType.xid:
      case eventType.xaPrepare:
        this.#end(entries)
        return
      case eventType.taggedGtid:
        throw new IngestError(
          'source.protocol_violation',
          'the log has transactions with tagged names, which are not read yet: set cdc_position: file',
        )
    }
  }

  /** Offsets in the log's events are 32 bits wide; a file may be longer. */
  #move({ type, end, body }: LogEvent): void {
    if (type === eventType.rotate) {
      this.#file = { file: body.toString('utf8', 8), offset: Number(body.readBigUInt64LE(0)) }
      return
    }
    if (end === 0) return
    const high = Math.floor(this.#file.offset / 0x1_0000_0000) * 0x1_0000_0000
    const offset = high + end
    this.#file = { ...this.#file, offset: offset < this.#file.offset ? offset + 0x1_0000_0000 : offset }
  }

  #tell(table: string, { bytes }: LogEvent, entries: LogEntry[]): void {
    if (!this.#told) {
      const transaction = this.#kind === 'file' ? offsetText(this.#beganAt ?? this.#file) : nameText(this.#begin?.name)
      entries.push({ kind: 'begin', transaction: () => transaction })
    }
    this.#told = true
    entries.push({ kind: 'part', table, bytes })
  }

  #statement(event: LogEvent, entries: LogEntry[]): void {
    const verb = verbOf(readQuery(event).sql)
    if (verb === 'begin' || verb === 'start transaction' || verb.startsWith('xa start')) {
      this.#beganAt ??= this.#file
      this.#open = true
      return
    }
    if (verb === 'commit' || verb === 'xa commit') {
      this.#end(entries)
      return
    }
    if (verb === 'savepoint' || verb.startsWith('savepoint ') || verb === 'xa end') return
    for (const table of this.#tables) this.#tell(table, event, entries)
    const ends = verb.startsWith('rollback') ? !verb.endsWith(' to') : !this.#open
    if (ends) this.#end(entries)
  }

  #end(entries: LogEntry[]): void {
    this.#place.pass(this.#begin?.name, this.#file)
    if (this.#told) {
      const place = placeText(this.#place.place)
      entries.push({ kind: 'end', place: () => place })
    }
    this.#begin = undefined
    this.#beganAt = undefined
    this.#open = false
    this.#told = false
    this.#ids.clear()
    this.done = this.#stop !== undefined && !isBefore(this.#file, this.#stop)
  }

  #folded(table: string): string {
    return this.#folds ? table.toLowerCase() : table
  }
}

const offsetText = ({ file, offset }: FileOffset) => `${file}:${offset}`

/** The first word of a statement or its first two, in lower case; `rollback to` for one to a savepoint. */
export function verbOf(sql: string): string {
  if (/^\s*rollback\s+(work\s+)?to\b/i.test(sql)) return 'rollback to'
  return /^\s*(\w+(\s+\w+)?)/.exec(sql)?.[1]?.toLowerCase().replace(/\s+/, ' ') ?? ''
}

const logs = new WeakMap<Sessions, SharedLog>()

/** The one reader of the log in this connection. */
export function logOf(sessions: Sessions): SharedLog {
  const log = logs.get(sessions) ?? binaryLog(sessions)
  logs.set(sessions, log)
  return log
}
