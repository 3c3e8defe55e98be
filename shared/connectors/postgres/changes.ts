import type { ChangeStream } from '../../connector/connector.ts'
import { matches } from '../../connector/match.ts'
import { parsePiece } from '../../connector/sql/pieces.ts'
import { checkpoint, type Message, type Row, remove } from '../../core/change.ts'
import { IngestError } from '../../core/errors.ts'
import { type Json, JsonText } from '../../core/json.ts'
import type { LogicalType } from '../../schema/types.ts'
import { copyBlocks } from './copy-blocks.ts'
import { describe } from './discover.ts'
import { type LogCursor, parseLogCursor } from './log-cursor.ts'
import { readLog } from './log-reader.ts'
import { type Decode, decoderOf } from './log-values.ts'
import { lookUp } from './look-up.ts'
import type { Lsn } from './lsn.ts'
import { type LogMessage, type LogRelation, readMessage, type Tuple } from './pgoutput.ts'
import { pieceSql, splitByPages } from './ranges.ts'
import { numbersOf, rewritten, type Shape, shapeOf } from './shape.ts'
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
    name: `${relation.schema}.${relation.name}`,
    schema: source.schema,
    key: selection.key,
    async head() {
      const release = await slot.exclusive()
      try {
        const status = await slot.prepare(relation)
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
    async *changes(json) {
      const after = parseLogCursor(json)
      const release = await slot.exclusive()
      try {
        const status = await slot.status(relation)
        requireHistory(source, slot.name, after, status)
        // The log up to `status.current` is of the columns this stream was opened with, or of older ones.
        const now = await describe(sessions, relation)
        if (JSON.stringify(shapeOf(now.relation)) !== JSON.stringify(shapeOf(relation))) {
          selection.notice?.(
            `the columns of ${relation.schema}.${relation.name} have changed: the next run goes on with them`,
          )
          return
        }
        let reached = after.lsn
        if (status.current > reached) {
          const range = { slot: slot.name, publication: slot.publication, from: reached, upto: status.current }
          for await (const message of changesIn(source, decoders, range, after.shape)) {
            if (message.op !== 'checkpoint') yield message
            else if (message.cursor > reached) {
              reached = message.cursor
              // What follows may still be of the columns before.
              yield checkpoint(cursorAt(reached, status, after.shape) as unknown as Json)
            }
          }
        }
        // No change until here; the slot follows, so an idle table holds no log.
        const idle = status.current > reached
        if (idle || JSON.stringify(after.shape) !== JSON.stringify(shapeOf(relation)))
          yield checkpoint(cursorAt(idle ? status.current : reached, status) as unknown as Json)
      } finally {
        release()
      }
    },
    async *lookUp(key) {
      const found = await lookUp(source, key)
      if (found) yield found
    },
    acknowledge: (json) => slot.committed(relation, parseLogCursor(json).lsn),
  }
}

/** Changes of the table in a range of the log, and a checkpoint behind each transaction that touched it. */
async function* changesIn(
  source: Source,
  decoders: ReadonlyMap<string, Decode>,
  range: Parameters<typeof readLog>[1],
  before: Shape,
): AsyncGenerator<Message<Lsn>, void, undefined> {
  const { relation } = source
  let reader: RowReader | undefined
  let open = false
  for await (const batch of readLog(source.sessions, range))
    for (const bytes of batch) {
      const message = readMessage(bytes, relation.oid)
      switch (message.kind) {
        case 'begin':
          if (message.place >= range.upto) return
          break
        case 'relation':
          if (message.relation.schema !== relation.schema || message.relation.name !== relation.name) break
          if (message.relation.oid !== relation.oid)
            throw new IngestError(
              'source.rewritten',
              `${naming('the table of', source)} was dropped and made anew: it is copied again`,
            )
          reader = new RowReader(message.relation, source, decoders, before)
          break
        case 'truncate':
          if (message.relations.includes(relation.oid))
            throw new IngestError(
              'source.rewritten',
              `${relation.schema}.${relation.name} was truncated: it is copied again`,
            )
          break
        case 'commit':
          if (open) yield checkpoint(message.end)
          open = false
          break
        case 'insert':
        case 'update':
        case 'delete':
          open = true
          for (const change of reader!.changes(message))
            yield 'lookUp' in change ? ((await lookUp(source, change.lookUp)) ?? remove(change.lookUp)) : change
      }
    }
}

type RowChange = Extract<Message<Lsn>, { op: 'upsert' | 'delete' }> | { lookUp: Row }

/** Turns tuples of the log into changes, for the columns of one Relation message. */
class RowReader {
  readonly #source: Source
  readonly #columns: { name: string; at: number; decode: Decode }[]
  readonly #key: { name: string; at: number; decode: Decode }[]
  readonly #types: ReadonlyMap<string, LogicalType>

  /** @throws IngestError `source.rewritten` (resync) when a column has a name in the log that it had only in between */
  constructor(logged: LogRelation, source: Source, decoders: ReadonlyMap<string, Decode>, before: Shape) {
    const { attributes } = source.relation
    const numbers = numbersOf(before, attributes)
    const old = new Set(before.map(([number]) => number))
    const isStrange = logged.columns.some(({ name }) => !numbers.has(name))
    const column = (name: string) => {
      const { number } = attributes.find((attribute) => attribute.name === name)!
      const at = logged.columns.findIndex((each) => numbers.get(each.name) === number)
      if (at < 0 && isStrange && old.has(number))
        throw new IngestError(
          'source.rewritten',
          `the column ${name} of ${logged.schema}.${logged.name} was renamed more than once: it is copied again`,
        )
      return { name, at, decode: decoders.get(name)! }
    }
    this.#source = source
    // A filter may look at columns that are not selected.
    this.#columns = [...source.columns.keys()].map(column)
    const key = source.key.length > 0 ? source.key : source.selected
    this.#key = key.map(({ name }) => column(name))
    this.#types = new Map([...source.columns.values()].map(({ name, type }) => [name, type]))
  }

  changes(message: Extract<LogMessage, { kind: 'insert' | 'update' | 'delete' }>): RowChange[] {
    if (message.kind === 'delete') return [remove(this.#keyOf(message.old))]
    const { values, absent } = this.#rowOf(message.row, message.kind === 'update' ? message : undefined)
    const key = Object.fromEntries(this.#key.map(({ name }) => [name, values[name]]))
    const old = message.kind === 'update' && message.old ? this.#keyOf(message.old) : undefined
    const moved = old !== undefined && this.#key.some(({ name }) => !same(old[name], key[name]))
    const { filter } = this.#source.selection
    const changes: RowChange[] = moved ? [remove(old)] : []
    // Values that were not changed are not in the log. Where no row of ours holds them either, the source is asked.
    if (absent.length > 0 && (moved || filter)) changes.push({ lookUp: key })
    else if (filter && !matches(filter, values, this.#types)) changes.push(remove(key))
    else {
      const row = Object.fromEntries(this.#source.selected.map(({ name }) => [name, values[name]]))
      changes.push(absent.length > 0 ? { op: 'upsert', row, absent } : { op: 'upsert', row })
    }
    return changes
  }

  #rowOf(tuple: Tuple, update: { old?: Tuple; keyOnly: boolean } | undefined): { values: Row; absent: string[] } {
    const values: Row = {}
    const absent: string[] = []
    for (const { name, at, decode } of this.#columns) {
      let text = at < 0 ? undefined : tuple[at]
      if (text === undefined && update?.old && !update.keyOnly) text = update.old[at]
      if (text === undefined) {
        values[name] = null
        if (update) absent.push(name)
      } else values[name] = text === null ? null : decode(text)
    }
    const selected = new Set(this.#source.selected.map((column) => column.name))
    return { values, absent: absent.filter((name) => selected.has(name)) }
  }

  #keyOf(tuple: Tuple): Row {
    return Object.fromEntries(
      this.#key.map(({ name, at, decode }) => {
        const text = tuple[at]
        return [name, text === null || text === undefined ? null : decode(text)]
      }),
    )
  }
}

function same(a: unknown, b: unknown): boolean {
  if (a instanceof JsonText || b instanceof JsonText || typeof a === 'object' || typeof b === 'object')
    return JSON.stringify(a) === JSON.stringify(b)
  return a === b
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

/** Generated columns are in the log since version 18, the stored ones. */
function noticeGenerated({ relation, selection }: Source, version: number): void {
  const missing = relation.attributes.filter(
    ({ generated, name }) =>
      selection.columns.includes(name) && (generated === 'v' || (generated === 's' && version < 180000)),
  )
  if (missing.length > 0)
    selection.notice?.(
      `${relation.schema}.${relation.name}: the log does not carry the generated columns ${missing.map(({ name }) => name).join(', ')}; they keep the values of the first copy`,
    )
}

/** @throws IngestError `source.position_lost` (resync), `source.rewritten` (resync) */
function requireHistory(source: Source, slot: string, after: LogCursor, status: SlotStatus): void {
  const { relation } = source
  const lost = (reason: string) => {
    throw new IngestError(
      'source.position_lost',
      `changes of ${relation.schema}.${relation.name} are missing: ${reason}`,
    )
  }
  if (status.system !== after.system) lost('this is another database cluster than the one read before')
  if (status.confirmed === undefined) lost(`there is no replication slot ${slot} any more`)
  if (status.lost)
    lost(`the replication slot ${slot} fell too far behind, and the server removed its log (max_slot_wal_keep_size)`)
  if (status.confirmed! > after.lsn)
    lost(`the replication slot ${slot} was moved or made anew behind the place read last`)
  if (after.table !== relation.oid)
    throw new IngestError(
      'source.rewritten',
      `${relation.schema}.${relation.name} was dropped and made anew: it is copied again`,
    )
  if (status.published !== after.published)
    lost(
      `the table is ${status.published === undefined ? 'not published any more' : 'published anew, and was not for a while'}`,
    )
  if (status.current < after.lsn)
    lost('the server is behind the place read last: it was restored, or another took over')
  const reason = rewritten(after.shape, relation.attributes)
  if (reason)
    throw new IngestError('source.rewritten', `${reason} in ${relation.schema}.${relation.name}: it is copied again`)
}
