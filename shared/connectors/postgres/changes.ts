import type { ChangeStream } from '../../connector/connector.ts'
import { endAtAlteration } from '../../connector/sql/altered.ts'
import { parsePiece } from '../../connector/sql/pieces.ts'
import { tableId, together } from '../../connector/sql/shared-log.ts'
import { checkpoint, remove } from '../../core/change.ts'
import { IngestError } from '../../core/errors.ts'
import type { Json } from '../../core/json.ts'
import { copyBlocks } from './copy-blocks.ts'
import { describe } from './discover.ts'
import { flushed } from './flushed.ts'
import { noticeGenerated, requireHistory } from './history.ts'
import { type LogCursor, parseLogCursor } from './log-cursor.ts'
import { type Decode, decoderOf } from './log-values.ts'
import { lookUp } from './look-up.ts'
import type { Lsn } from './lsn.ts'
import { type LogRelation, readMessage } from './pgoutput.ts'
import { pieceSql, splitByPages } from './ranges.ts'
import { type RowChange, RowReader } from './row-reader.ts'
import { type Shape, shapeOf } from './shape.ts'
import { type SlotStatus, slotOf } from './slot.ts'
import { naming, type Source, select } from './source.ts'

/**
 * Change data capture of one table. The slot is made first; the backfill reads rows as they are later, and the changes
 * since the slot's place are laid over them, so that the end is the source's state whatever happened in between.
 *
 * @throws IngestError `config.invalid` (fix) when the log does not carry the key of a deleted row
 */
export async function changeStream(source: Source): Promise<ChangeStream> {
  const { sessions, relation, selection } = source
  const name = `${relation.schema}.${relation.name}`
  requireIdentity(source)
  const slot = slotOf(sessions, selection.owner, selection.slotConfig)
  const decoders = await columnDecoders(source)
  const cursorAt = (lsn: Lsn, { system, published }: SlotStatus, shape = shapeOf(relation)): LogCursor => ({
    lsn,
    system,
    table: relation.oid,
    published: published!,
    shape,
  })

  return {
    kind: 'changes',
    name,
    schema: source.schema,
    key: selection.key,
    async head() {
      const release = await slot.exclusive()
      try {
        const status = await slot.prepare(relation, selection)
        noticeGenerated(source, status.version)
        return cursorAt(status.cutoff, status) as unknown as Json
      } finally {
        release()
      }
    },
    split: async () => (await splitByPages(source)) as Json[],
    async *backfill(json) {
      const { from, conditions } = pieceSql(parsePiece(json), source)
      yield* copyBlocks(
        sessions,
        naming('read', source),
        select(source.selected, from, [...conditions, ...source.conditions]),
      )
    },
    async *changes(json, options) {
      const after = parseLogCursor(json)
      if (options?.upToNow) await flushed(sessions)
      const status = await slot.status(relation)
      requireHistory(source, slot.name, after, status)
      const rows = new LogRows(source, decoders, after.shape)
      const cursorAfter = (lsn: Lsn, shape?: Shape) => checkpoint(cursorAt(lsn, status, shape) as unknown as Json)
      let reached = after.lsn
      /** The place of the last checkpoint. */
      let told = reached
      for (let more = status.current > reached; more; ) {
        const from = reached
        const range = { after: reached, upto: status.current }
        const log = slot.log.open(tableId(relation), together(selection, options), range)
        try {
          // The log up to there is of the columns this stream was opened with, or of older ones.
          const now = await describe(sessions, relation)
          if (JSON.stringify(shapeOf(now.relation)) !== JSON.stringify(shapeOf(relation))) {
            endAtAlteration({ name, selection }, options)
            return
          }
          more = false
          for await (const entries of log.entries())
            for (const entry of entries)
              if (entry.kind === 'begin') rows.begin(entry.transaction() < from)
              else if (entry.kind === 'part')
                for (const change of rows.changes(entry.bytes))
                  yield 'lookUp' in change ? ((await lookUp(source, change.lookUp)) ?? remove(change.lookUp)) : change
              else {
                const isEnd = entry.kind === 'end'
                if (isEnd && !rows.touched) continue
                const place = entry.place()
                if (place > reached) reached = place
                if (!isEnd) more = entry.more
                else if (reached > told) {
                  told = reached
                  // What follows may still be of the columns before.
                  yield cursorAfter(reached, after.shape)
                }
              }
        } finally {
          log.close()
        }
      }
      // No change until here; the slot follows, so an idle table holds no log.
      if (reached > told || JSON.stringify(after.shape) !== JSON.stringify(shapeOf(relation)))
        yield cursorAfter(reached)
    },
    async *lookUp(key) {
      const found = await lookUp(source, key)
      if (found) yield found
    },
    acknowledge: (json) => slot.committed(relation, selection, parseLogCursor(json).lsn),
  }
}

const nothing: readonly RowChange[] = []

/** What the log says of one table, as changes of its rows. */
class LogRows {
  readonly #source: Source
  readonly #decoders: ReadonlyMap<string, Decode>
  readonly #before: Shape
  #logged: LogRelation | undefined
  #reader: RowReader | undefined
  /** The transaction was read before. */
  #isOld = false
  /** Changes came in this transaction. */
  touched = false

  constructor(source: Source, decoders: ReadonlyMap<string, Decode>, before: Shape) {
    this.#source = source
    this.#decoders = decoders
    this.#before = before
  }

  begin(isOld: boolean): void {
    this.#isOld = isOld
    this.touched = false
  }

  changes(bytes: Buffer): readonly RowChange[] {
    const { relation } = this.#source
    const message = readMessage(bytes)
    switch (message.kind) {
      case 'relation':
        // Told once, also in front of a transaction that was read before.
        this.#logged = message.relation
        this.#reader = undefined
        return nothing
      case 'truncate':
        if (!this.#isOld && message.relations.includes(relation.oid)) throw this.#rewritten('was truncated')
        return nothing
      default:
        if (this.#isOld) return nothing
        if (this.#logged!.oid !== relation.oid) throw this.#rewritten('was dropped and made anew')
        this.#reader ??= new RowReader(this.#logged!, this.#source, this.#decoders, this.#before)
        this.touched = true
        return this.#reader.changes(message)
    }
  }

  #rewritten(reason: string): IngestError {
    const { schema, name } = this.#source.relation
    return new IngestError('source.rewritten', `${schema}.${name} ${reason}: it is copied again`)
  }
}

async function columnDecoders(source: Source): Promise<ReadonlyMap<string, Decode>> {
  const { sessions, relation, types } = source
  const money = [...types.values()].some((type) => type.name === 'money')
  const [row] = money
    ? await sessions.query<{ scale: number }>('read the server settings', 'select scale((0::money)::numeric) as scale')
    : []
  const options = { types, config: sessions.config, moneyScale: row?.scale ?? 2 }
  return new Map(relation.attributes.map((attribute) => [attribute.name, decoderOf(attribute, options)]))
}

function requireIdentity({ relation, selection }: Source): void {
  const name = `${relation.schema}.${relation.name}`
  const missing = selection.key.filter((column) => !relation.identityColumns.includes(column))
  if (relation.identityColumns.length > 0 && missing.length === 0) return
  const lacking =
    missing.length > 0 ? `its log does not carry ${missing.join(', ')} of a deleted row` : 'it has no primary key'
  throw new IngestError(
    'config.invalid',
    `changes of ${name} cannot be captured, because ${lacking}: alter table ${name} replica identity full, or read it by query or snapshot`,
  )
}
