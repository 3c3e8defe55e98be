import type { LogicalType } from '../../schema/types.ts'

/** What differs between SQL databases, as facts and small functions: the kit never asks for a database's name. */
export interface SqlDialect {
  /** A quoted name. */
  identifier(name: string): string
  /** A string constant, safe whatever the text holds. */
  text(value: string): string
  /** A value of `column`, from its text: an expression of the column's own type, so that comparing it uses an index. */
  value(text: string, column: SqlColumn): string
  /** A value of `column` as the text that `value` takes back; rows are sorted by the column itself. */
  place(expression: string, column: SqlColumn): string
  /** A select with the number of rows it may give. */
  first(select: string, rows: number): string
  /** The column as text, for LIKE on columns that are not. */
  asText(expression: string, column: SqlColumn): string
  /** `(a, b) > (x, y)` uses an index. Otherwise the comparison is spelled out. */
  rowComparison: boolean
}

/** One column of a source table: how it is stored, and how it is read. */
export interface SqlColumn {
  name: string
  /** The source's own name of the type, without length. */
  sqlType: string
  nullable: boolean
  /** What the rows carry after `read`. */
  type: LogicalType
  /** The expression of a select list that gives the value in the form docs/adding-a-connector.md ("Values") promises for `type`. */
  read(column: string): string
}
