import type { ChangeStream } from '../../connector/connector.ts'
import type { SqlColumn } from '../../connector/sql/dialect.ts'
import { columnNamed, filterSql } from '../../connector/sql/filter.ts'
import { betweenPlaces, type Place } from '../../connector/sql/order.ts'
import { parsePiece } from '../../connector/sql/pieces.ts'
import { checkpoint, type Message, type Row } from '../../core/change.ts'
import { IngestError } from '../../core/errors.ts'
import type { Json } from '../../core/json.ts'
import { dialect } from './dialect.ts'
import { finishedUpTo, parseQueryCursor } from './finished.ts'
import { pieceSql, splitByPages } from './ranges.ts'
import { copyBlocks } from './snapshot.ts'
import { naming, type Source, select } from './source.ts'
import { fromText } from './values.ts'

/** Rows of one checkpoint of a large increment. */
const stepRows = 500_000

/**
 * Rows whose cursor columns grew. Everything read lies at or below a place that no open transaction can add rows to any
 * more, so a row committed late is read by a later run instead of being missed. Rows with a NULL cursor are in no
 * order: they are never read, and a notice says how many there are.
 */
export function queryStream(source: Source): ChangeStream {
  const { selection, columns } = source
  const names = selection.cursorColumns ?? []
  if (names.length === 0)
    throw new IngestError('config.invalid', `${naming('to read', source)} by query, give its cursor_columns`)
  const cursor = names.map((name) => columnNamed(name, columns))
  const present = cursor
    .filter((column) => column.nullable)
    .map((column) => `${dialect.identifier(column.name)} is not null`)
  const deleted = selection.deletionCondition && filterSql(selection.deletionCondition, columns, dialect)
  const alive = deleted ? [`(${deleted}) is not true`] : []
  const between = (after: Place | undefined, upto: Place) => [
    ...betweenPlaces(cursor, after, upto, dialect),
    ...present,
    ...source.conditions,
  ]

  async function* step(after: Place | undefined, upto: Place): AsyncGenerator<Message<Json>, void, undefined> {
    const conditions = between(after, upto)
    yield* copyBlocks(source, select(source.selected, source.from, [...conditions, ...alive]))
    if (!deleted || source.key.length === 0) return
    // A table holds each key once, so it does not matter which of the two reads comes first.
    for await (const key of readKeys(source, [...conditions, `(${deleted})`])) yield { op: 'delete', key }
  }

  return {
    kind: 'changes',
    name: `${source.relation.schema}.${source.relation.name}`,
    schema: source.schema,
    key: selection.key,
    head: async () => (await finishedUpTo(source, cursor, present, { at: null }, 0)).cursor as unknown as Json,
    async split(cutoff) {
      await noticeUnordered(source, cursor, present)
      return parseQueryCursor(cutoff).at === null ? [] : ((await splitByPages(source)) as Json[])
    },
    async *backfill(json, cutoff) {
      const { at } = parseQueryCursor(cutoff)
      if (at === null) return
      const { from, conditions } = pieceSql(parsePiece(json), source)
      yield* copyBlocks(source, select(source.selected, from, [...conditions, ...between(undefined, at), ...alive]))
    },
    async *changes(json) {
      const before = parseQueryCursor(json)
      const { cursor: next, rows } = await finishedUpTo(source, cursor, present, before, stepRows + 1)
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
    async *keys() {
      yield* copyBlocks(source, select(source.key, source.from, alive))
    },
  }
}

/** Says once, at the first read, how many rows no query-based read will ever see. */
async function noticeUnordered(
  source: Source,
  cursor: readonly SqlColumn[],
  present: readonly string[],
): Promise<void> {
  if (present.length === 0 || !source.selection.notice) return
  const where = [...source.conditions, `not (${present.join(' and ')})`].join(' and ')
  const [row] = await source.sessions.query(
    naming('count rows without a cursor in', source),
    `select count(*)::float8 as rows from ${source.from} where ${where}`,
  )
  if (Number(row!.rows) === 0) return
  source.selection.notice(
    `${row!.rows} rows of ${source.relation.schema}.${source.relation.name} are not read, because ` +
      `${cursor.map(({ name }) => name).join(' or ')} is NULL there: fill it, or choose another cursor column`,
  )
}

/** Places that cut a large increment into steps; each step is whole, ties included, so it can be resumed by value. */
async function borders(source: Source, cursor: readonly SqlColumn[], conditions: readonly string[]): Promise<Place[]> {
  const names = cursor.map(({ name }) => dialect.identifier(name)).join(', ')
  const rows = await source.sessions.query(
    naming('split the changes of', source),
    `select distinct on (${names}) ${cursor.map(({ name }, index) => `${dialect.identifier(name)}::text as k${index}`).join(', ')}
     from (select ${names}, row_number() over (order by ${names}) as place from ${source.from} where ${conditions.join(' and ')}) numbered
     where place % ${stepRows} = 0 order by ${names}`,
  )
  return rows.map((row) => cursor.map((_, index) => String(row[`k${index}`])))
}

async function* readKeys(source: Source, conditions: readonly string[]): AsyncGenerator<Row, void, undefined> {
  const list = source.key.map((column) => column.read(dialect.identifier(column.name)))
  const rows = source.sessions.rows(
    naming('read deletes of', source),
    `select ${list.map((expression, index) => `(${expression})::text as k${index}`).join(', ')} from ${source.from} where ${conditions.join(' and ')}`,
  )
  for await (const row of rows)
    yield Object.fromEntries(
      source.key.map(({ name, type }, index) => [name, fromText(String(row[`k${index}`]), type)]),
    )
}
