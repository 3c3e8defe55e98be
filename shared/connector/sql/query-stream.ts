import { checkpoint, type Message, type Row } from '../../core/change.ts'
import { IngestError } from '../../core/errors.ts'
import type { Json } from '../../core/json.ts'
import type { ChangeStream } from '../connector.ts'
import type { SqlColumn } from './dialect.ts'
import { columnNamed, filterSql } from './filter.ts'
import { finishedUpTo, type OpenWork, parseQueryCursor } from './finished.ts'
import { betweenPlaces, comparePlace, type Place } from './order.ts'
import { parsePiece } from './pieces.ts'
import { type SqlSource, selectSql } from './source.ts'
import { fromText } from './values.ts'

/** Rows of one checkpoint of a large increment. */
const stepRows = 500_000

/**
 * Rows whose cursor columns grew. Everything read lies at or below a place that no open transaction can add rows to any
 * more, so a row committed late is read by a later run instead of being missed. Rows with a NULL cursor are in no
 * order: they are never read, and a notice says how many there are.
 */
export function queryStream(source: SqlSource, work: OpenWork): ChangeStream {
  const { selection, columns, dialect } = source
  const names = selection.cursorColumns ?? []
  if (names.length === 0)
    throw new IngestError('config.invalid', `to read ${source.name} by query, give its cursor_columns`)
  const cursor = names.map((name) => columnNamed(name, columns))
  const present = cursor
    .filter((column) => column.nullable)
    .map((column) => `${dialect.identifier(column.name)} is not null`)
  const deleted = selection.deletionCondition && filterSql(selection.deletionCondition, columns, dialect)
  const alive = deleted ? [`case when ${deleted} then 0 else 1 end = 1`] : []
  const between = (after: Place | undefined, upto: Place) => [
    ...betweenPlaces(cursor, after, upto, dialect),
    ...present,
    ...source.conditions,
  ]
  const reading = `read ${source.name}`

  async function* step(after: Place | undefined, upto: Place): AsyncGenerator<Message<Json>, void, undefined> {
    const conditions = between(after, upto)
    yield* source.read(reading, source.selected, source.from, [...conditions, ...alive])
    if (!deleted || source.key.length === 0) return
    // A table holds each key once, so it does not matter which of the two reads comes first.
    for await (const key of readKeys(source, [...conditions, `(${deleted})`])) yield { op: 'delete', key }
  }

  return {
    kind: 'changes',
    name: source.name,
    schema: source.schema,
    key: selection.key,
    head: async () => (await finishedUpTo(source, work, cursor, present, { at: null }, 0)).cursor as unknown as Json,
    async split(cutoff) {
      await noticeUnordered(source, cursor, present)
      return parseQueryCursor(cutoff).at === null ? [] : ((await source.splitForChanges()) as Json[])
    },
    async *backfill(json, cutoff) {
      const { at } = parseQueryCursor(cutoff)
      if (at === null) return
      const { from, conditions } = source.pieceSql(parsePiece(json))
      yield* source.read(reading, source.selected, from, [...conditions, ...between(undefined, at), ...alive])
    },
    async *changes(json) {
      const before = parseQueryCursor(json)
      const { cursor: next, rows } = await finishedUpTo(source, work, cursor, present, before, stepRows + 1)
      const upto = next.at
      let after: Place | undefined = before.at ?? undefined
      if (upto !== null && rows > 0) {
        if (rows > stepRows)
          for (const border of await borders(source, cursor, between(after, upto))) {
            yield* step(after, border)
            yield checkpoint<Json>({ at: [...border] })
            after = border
          }
        yield* step(after, upto)
      }
      if (JSON.stringify(next) !== JSON.stringify(before)) yield checkpoint(next as unknown as Json)
    },
    lookUp(key) {
      const here = source.key.flatMap((column) =>
        (['>=', '<='] as const).map((sign) => comparePlace([column], sign, [String(key[column.name])], dialect)),
      )
      return source.read(reading, source.selected, source.from, [...here, ...source.conditions, ...alive])
    },
    async *keys() {
      yield* source.read(reading, source.key, source.from, alive)
    },
  }
}

/** Says once, at the first read, how many rows no query-based read will ever see. */
async function noticeUnordered(
  source: SqlSource,
  cursor: readonly SqlColumn[],
  present: readonly string[],
): Promise<void> {
  if (present.length === 0 || !source.selection.notice) return
  const where = [...source.conditions, `not (${present.join(' and ')})`]
  const counted = selectSql(['count(*) as n'], source.from, where)
  for await (const { n } of source.rows(`count rows without a cursor in ${source.name}`, counted))
    if (Number(n) > 0)
      source.selection.notice(
        `${n} rows of ${source.name} are not read, because ` +
          `${cursor.map(({ name }) => name).join(' or ')} is NULL there: fill it, or choose another cursor column`,
      )
}

/** Places that cut a large increment into steps; each step is whole, ties included, so it can be resumed by value. */
async function borders(
  source: SqlSource,
  cursor: readonly SqlColumn[],
  conditions: readonly string[],
): Promise<Place[]> {
  const { dialect } = source
  const names = cursor.map(({ name }) => dialect.identifier(name))
  const numbered = selectSql(
    [...names, `row_number() over (order by ${names.join(', ')}) as place`],
    source.from,
    conditions,
  )
  const places = cursor.map((column, index) => `${dialect.place(names[index]!, column)} as k${index}`)
  const sql = `select ${places.join(', ')} from (${numbered}) numbered where mod(place, ${stepRows}) = 0 order by place`
  const found = new Map<string, Place>()
  for await (const row of source.rows(`split the changes of ${source.name}`, sql)) {
    const place = cursor.map((_, index) => String(row[`k${index}`]))
    found.set(JSON.stringify(place), place)
  }
  return [...found.values()]
}

async function* readKeys(source: SqlSource, conditions: readonly string[]): AsyncGenerator<Row, void, undefined> {
  const { dialect } = source
  const list = source.key.map(
    (column, index) => `${dialect.place(dialect.identifier(column.name), column)} as k${index}`,
  )
  const rows = source.rows(`read deletes of ${source.name}`, selectSql(list, source.from, conditions))
  for await (const row of rows)
    yield Object.fromEntries(
      source.key.map(({ name, type }, index) => [name, fromText(String(row[`k${index}`]), type)]),
    )
}
