import type { Message } from '../../core/change.ts'
import type { Json } from '../../core/json.ts'
import type { Schema } from '../../schema/types.ts'
import type { Selection } from '../connector.ts'
import type { SqlColumn, SqlDialect } from './dialect.ts'
import type { SqlColumns } from './filter.ts'
import type { Piece } from './pieces.ts'

/**
 * One table of a SQL database with a pipeline's selection laid over it: what a connector supplies so that the kit can
 * read it by query and by snapshot.
 */
export interface SqlSource {
  dialect: SqlDialect
  /** `schema.table`. */
  name: string
  selection: Selection
  /** All readable columns of the table. */
  columns: SqlColumns
  /** The selected ones, in the order of the rows. */
  selected: readonly SqlColumn[]
  key: readonly SqlColumn[]
  schema: Schema
  /** What to put after FROM. */
  from: string
  /** The pushed-down filter. */
  conditions: readonly string[]
  /** Rows of a select of some columns, in their order, as blocks or upserts. `what` is the work in the user's words. */
  read(
    what: string,
    columns: readonly SqlColumn[],
    from: string,
    conditions: readonly string[],
  ): AsyncIterable<Message<Json>>
  /** Rows of any query, some at a time; values as text where a number could lose digits. */
  rows(what: string, sql: string): AsyncIterable<Record<string, unknown>>
  /** Pieces that hold each row once whatever happens between two of them. */
  splitByKey(): Promise<Piece[]>
  /** The cheapest pieces where rows that move meanwhile are read again as changes. */
  splitForChanges(): Promise<Piece[]>
  pieceSql(piece: Piece): { from: string; conditions: readonly string[] }
}

/** `select` of expressions; conditions are joined by AND. */
export function selectSql(expressions: readonly string[], from: string, conditions: readonly string[]): string {
  return `select ${expressions.join(', ')} from ${from}${conditions.length > 0 ? ` where ${conditions.join(' and ')}` : ''}`
}

/** The expressions that read columns in the form docs/connectors.md promises. */
export const readExpressions = (columns: readonly SqlColumn[], dialect: SqlDialect): string[] =>
  columns.map((column) => column.read(dialect.identifier(column.name)))
