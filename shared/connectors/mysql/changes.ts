import type { ChangeStream } from '../../connector/connector.ts'
import { parsePiece } from '../../connector/sql/pieces.ts'
import { checkpoint, type Message } from '../../core/change.ts'
import { IngestError } from '../../core/errors.ts'
import type { Json } from '../../core/json.ts'
import { type Captured, effectOf } from './ddl.ts'
import { describe, notCaptured } from './discover.ts'
import { headOfLog, noticeCascades, requireHistory } from './head.ts'
import { type LogCursor, parseLogCursor } from './log-cursor.ts'
import {
  type Begin,
  eventType,
  type LogEvent,
  readBegin,
  readQuery,
  readRows,
  readTableMap,
  rowsKind,
  tableIdOf,
} from './log-events.ts'
import { type FileOffset, isBefore, MovingPlace } from './log-place.ts'
import { readLog } from './log-reader.ts'
import { RowReader } from './row-reader.ts'
import { type Shape, sameShape, shapeOf } from './shape.ts'
import type { Source } from './source.ts'

/**
 * Change data capture of one table. The place in the log is taken first; the backfill reads rows as they are later, and
 * the changes since that place are laid over them, so that the end is the source's state whatever happened in between.
 *
 * @throws IngestError `config.invalid` (fix) for a table or a server whose changes cannot be captured
 */
export function changeStream(source: Source): ChangeStream {
  const { sessions, relation, selection } = source
  requireLog(source)
  const json = (cursor: LogCursor) => cursor as unknown as Json

  return {
    kind: 'changes',
    name: source.name,
    schema: source.schema,
    key: selection.key,
    async head() {
      await noticeCascades(source)
      const place = await headOfLog(source)
      const now = shapeOf(await describe(sessions, relation))
      if (!sameShape(now, shapeOf(relation)))
        throw new IngestError('source.unavailable', `${source.name} was altered while its copy began; it begins again`)
      return json({ place, shape: now })
    },
    split: async () => (await source.splitForChanges()) as unknown as Json[],
    async *backfill(piece) {
      const { from, conditions } = source.pieceSql(parsePiece(piece))
      yield* source.read(`read ${source.name}`, source.selected, from, [...conditions, ...source.conditions])
    },
    async *changes(after) {
      const cursor = parseLogCursor(after)
      await requireHistory(source, cursor.place)
      const reading = new LogReading(source, cursor)
      let told = after
      for await (const events of readLog(sessions, `read the changes of ${source.name}`, cursor.place, (end) =>
        reading.stopAt(end),
      ))
        for (const event of events) {
          for (const change of reading.take(event)) yield change
          if (reading.committed) {
            told = json(reading.cursor)
            yield checkpoint(told)
          }
          if (reading.done) {
            yield* last()
            return
          }
        }
      yield* last()

      // No change until here: the place moves on by itself, so an idle table does not fall behind the log.
      function* last(): Generator<Message<Json>> {
        const reached = json(reading.cursor)
        if (JSON.stringify(reached) !== JSON.stringify(told)) yield checkpoint(reached)
      }
    },
  }
}

/** One pass over the log: which transaction it is in, which columns the table has there, and the changes of it. */
class LogReading {
  readonly #source: Source
  readonly #place: MovingPlace
  readonly #today: Captured['today']
  #shape: Shape
  #file: FileOffset = { file: '', offset: 0 }
  #stop: FileOffset | undefined
  #begin: Begin | undefined
  /** Between BEGIN and its end. */
  #open = false
  /** Changes of the table came in this transaction. */
  #touched = false
  /** The table's ids in this transaction, and the one reader for all that look the same. */
  #readers = new Map<number, RowReader>()
  #lastMap: { bytes: Buffer; reader: RowReader } | undefined
  /** The event just taken ended a transaction with changes. */
  committed = false
  done = false

  constructor(source: Source, { place, shape }: LogCursor) {
    this.#source = source
    this.#place = new MovingPlace(place)
    this.#shape = shape
    this.#today = new Map(shapeOf(source.relation).map((column) => [column.name, column]))
  }

  get cursor(): LogCursor {
    return { place: this.#place.place, shape: this.#shape }
  }

  /** The log was this long when the reading began: what comes later is the next run's. */
  stopAt(end: FileOffset): void {
    this.#stop = end
  }

  *take(event: LogEvent): Generator<Message<Json>, void, undefined> {
    this.committed = false
    this.#move(event)
    const rows = rowsKind(event.type)
    if (rows !== undefined) {
      const reader = this.#readers.get(tableIdOf(event.body))
      if (!reader) return
      this.#touched = true
      yield* reader.changes(readRows(event))
      return
    }
    switch (event.type) {
      case eventType.tableMap:
        this.#map(event.body)
        return
      case eventType.gtid:
      case eventType.mariadbGtid:
        this.#begin = readBegin(event)
        this.#open = !this.#begin.alone && event.type === eventType.mariadbGtid
        return
      case eventType.query:
      case eventType.compressedQuery:
        this.#statement(event)
        return
      case eventType.xid:
      case eventType.xaPrepare:
        this.#end()
        return
      case eventType.partialUpdate:
        throw new IngestError(
          'config.invalid',
          `the log holds parts of JSON values only: set global binlog_row_value_options = '', then run a full refresh`,
        )
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

  #map(body: Buffer): void {
    const id = tableIdOf(body)
    this.#readers.delete(id)
    const map = readTableMap(body)
    const { relation, server } = this.#source
    const fold = (name: string) => (server.foldsNames ? name.toLowerCase() : name)
    if (fold(map.table) !== fold(relation.name) || fold(map.schema) !== fold(relation.schema)) return
    // The same columns stand before nearly every statement's rows.
    const bytes = body.subarray(8)
    if (!this.#lastMap?.bytes.equals(bytes))
      this.#lastMap = { bytes: Buffer.from(bytes), reader: new RowReader(map, this.#shape, this.#source) }
    this.#readers.set(id, this.#lastMap.reader)
  }

  #statement(event: LogEvent): void {
    const { database, sql } = readQuery(event)
    const verb = /^\s*(\w+(\s+\w+)?)/.exec(sql)?.[1]?.toLowerCase().replace(/\s+/, ' ') ?? ''
    if (verb === 'begin' || verb === 'start transaction' || verb.startsWith('xa start')) {
      this.#open = true
      return
    }
    if (verb === 'commit' || verb === 'xa commit') {
      this.#end()
      return
    }
    if (verb === 'savepoint' || verb.startsWith('savepoint ') || verb === 'xa end') return
    if (verb.startsWith('rollback')) {
      // Only transactions that also changed tables without transactions are logged to be taken back.
      if (this.#touched) throw this.#rewritten('changed in a transaction that was rolled back')
      if (!/^\s*rollback\s+(work\s+)?to\b/i.test(sql)) this.#end()
      return
    }
    // Its changes are in the log from when it was prepared, maybe before the place this reading began at.
    if (verb === 'xa rollback') throw this.#rewritten('maybe changed in a prepared transaction that was rolled back')
    const { relation, server, selection } = this.#source
    const effect = effectOf(sql, database, {
      schema: relation.schema,
      name: relation.name,
      shape: this.#shape,
      today: this.#today,
      selected: new Set(selection.columns),
      foldsNames: server.foldsNames,
    })
    if (effect.kind === 'rewritten') throw this.#rewritten(effect.reason)
    if (effect.kind === 'columns') {
      this.#shape = effect.shape
      this.#lastMap = undefined
      this.#readers.clear()
    }
    if (!this.#open) this.#end()
  }

  #end(): void {
    this.#place.pass(this.#begin?.name, this.#file)
    this.committed = this.#touched
    this.#begin = undefined
    this.#open = false
    this.#touched = false
    this.#readers.clear()
    this.done = this.#stop !== undefined && !isBefore(this.#file, this.#stop)
  }

  #rewritten(reason: string): IngestError {
    return new IngestError('source.rewritten', `${this.#source.name} ${reason}: it is copied again`)
  }
}

function requireLog({ name, server, relation, selection }: Source): void {
  const refuse = (reason: string) => {
    throw new IngestError('config.invalid', `changes of ${name} cannot be captured, because ${reason}`)
  }
  if (!server.logs) refuse('the server keeps no binary log: start it with log_bin and a server_id')
  if (server.format !== 'ROW')
    refuse(
      `binlog_format is ${server.format}: set global binlog_format = 'ROW', and let sessions that write begin anew`,
    )
  if (server.rowImage !== 'FULL')
    refuse(
      `binlog_row_image is ${server.rowImage}: set global binlog_row_image = 'FULL', and let sessions that write begin anew`,
    )
  const reason = notCaptured(relation, server)
  if (reason) refuse(`${reason}: read it by query or snapshot`)
  if (selection.key.length === 0) refuse('no key is given for it')
}
