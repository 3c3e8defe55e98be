import type { ChangeStream } from '../../connector/connector.ts'
import { endAtAlteration } from '../../connector/sql/altered.ts'
import { parsePiece } from '../../connector/sql/pieces.ts'
import { tableId, together } from '../../connector/sql/shared-log.ts'
import { checkpoint, type Message } from '../../core/change.ts'
import { IngestError } from '../../core/errors.ts'
import type { Json } from '../../core/json.ts'
import { type Captured, type Effect, effectOf, none } from './ddl.ts'
import { describe, notCaptured } from './discover.ts'
import { headOfLog, noticeCascades, requireHistory } from './head.ts'
import { type LogCursor, parseLogCursor } from './log-cursor.ts'
import {
  eventType,
  type LogEvent,
  readEvent,
  readQuery,
  readRows,
  readTableMap,
  rowsKind,
  tableIdOf,
} from './log-events.ts'
import { holder } from './log-place.ts'
import { RowReader } from './row-reader.ts'
import { type Shape, sameShape, shapeOf } from './shape.ts'
import type { Source } from './source.ts'
import { logOf, placeOf, placeText, verbOf } from './table-log.ts'

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
    async *changes(after, options) {
      const cursor = parseLogCursor(after)
      await requireHistory(source, cursor.place)
      const rows = new LogRows(source, cursor.shape)
      let { place } = cursor
      let told = after
      for (let more = true; more; ) {
        const had = holder(place)
        const log = logOf(sessions).open(tableId(relation), together(selection, options), { after: placeText(place) })
        more = false
        try {
          for await (const entries of log.entries())
            for (const entry of entries)
              if (entry.kind === 'begin') rows.begin(had(entry.transaction()))
              else if (entry.kind === 'part') {
                yield* rows.changes(entry.bytes)
                if (rows.effect.kind === 'none') continue
                // What the statement means is told by the columns of today, which are those of when the stream was opened.
                if (await wasAltered(source)) {
                  endAtAlteration(source, options)
                  return
                }
                rows.applyEffect()
              } else if (entry.kind === 'until') {
                place = placeOf(entry.place())
                more = entry.more
              } else if (rows.touched) {
                place = placeOf(entry.place())
                told = json({ place, shape: rows.shape })
                yield checkpoint(told)
              }
        } finally {
          log.close()
        }
      }
      // No change until here: the place moves on by itself, so an idle table does not fall behind the log.
      const reached = json({ place, shape: rows.shape })
      if (JSON.stringify(reached) !== JSON.stringify(told)) yield checkpoint(reached)
    },
  }
}

/** What the log says of one table, as changes of its rows; and which columns it has there. */
class LogRows {
  readonly #source: Source
  readonly #today: Pick<Captured, 'today' | 'required'>
  shape: Shape
  /** The transaction was read before. */
  #isOld = false
  /** Changes came in this transaction. */
  touched = false
  /** What the last statement did to the table, as long as it is not applied. */
  effect: Effect = none
  /** The table's ids in this transaction, and the one reader for all that look the same. */
  #readers = new Map<number, RowReader>()
  #lastMap: { bytes: Buffer; reader: RowReader } | undefined

  constructor(source: Source, shape: Shape) {
    this.#source = source
    this.shape = shape
    const { relation } = source
    this.#today = {
      today: new Map(shapeOf(relation).map((column) => [column.name, column])),
      required: new Set(relation.attributes.filter(({ nullable }) => !nullable).map(({ name }) => name)),
    }
  }

  begin(isOld: boolean): void {
    this.#isOld = isOld
    this.touched = false
    this.#readers.clear()
  }

  *changes(bytes: Buffer): Generator<Message<Json>, void, undefined> {
    if (this.#isOld) return
    const event = readEvent(bytes, 0)
    if (event.type === eventType.tableMap) this.#map(event.body)
    else if (rowsKind(event.type) !== undefined) {
      this.touched = true
      yield* this.#readers.get(tableIdOf(event.body))!.changes(readRows(event))
    } else if (event.type === eventType.partialUpdate)
      throw new IngestError(
        'config.invalid',
        `the log holds parts of JSON values only: set global binlog_row_value_options = '', then run a full refresh`,
      )
    else this.#statement(event)
  }

  #map(body: Buffer): void {
    const id = tableIdOf(body)
    // The same columns stand before nearly every statement's rows.
    const bytes = body.subarray(8)
    if (!this.#lastMap?.bytes.equals(bytes))
      this.#lastMap = {
        bytes: Buffer.from(bytes),
        reader: new RowReader(readTableMap(body), this.shape, this.#source),
      }
    this.#readers.set(id, this.#lastMap.reader)
  }

  #statement(event: LogEvent): void {
    const { database, sql } = readQuery(event)
    const verb = verbOf(sql)
    if (verb.startsWith('rollback')) {
      // Only transactions that also changed tables without transactions are logged to be taken back.
      if (this.touched) throw this.#rewritten('changed in a transaction that was rolled back')
      return
    }
    // Its changes are in the log from when it was prepared, maybe before the place this reading began at.
    if (verb === 'xa rollback') throw this.#rewritten('maybe changed in a prepared transaction that was rolled back')
    const { relation, server, selection } = this.#source
    this.effect = effectOf(sql, database, {
      schema: relation.schema,
      name: relation.name,
      shape: this.shape,
      ...this.#today,
      selected: new Set(selection.columns),
      foldsNames: server.foldsNames,
    })
  }

  /** @throws IngestError `source.rewritten` (resync) */
  applyEffect(): void {
    const { effect } = this
    this.effect = none
    if (effect.kind === 'rewritten') throw this.#rewritten(effect.reason)
    if (effect.kind === 'columns') {
      this.shape = effect.shape
      this.#lastMap = undefined
      this.#readers.clear()
    }
  }

  #rewritten(reason: string): IngestError {
    return new IngestError('source.rewritten', `${this.#source.name} ${reason}: it is copied again`)
  }
}

/** A statement that is in the log may not be over: a read of the table waits for it, the catalog does not. */
async function wasAltered({ sessions, relation, from, name }: Source): Promise<boolean> {
  await sessions.query(`look at the columns of ${name}`, `select 1 from ${from} limit 0`)
  return !sameShape(shapeOf(await describe(sessions, relation)), shapeOf(relation))
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
