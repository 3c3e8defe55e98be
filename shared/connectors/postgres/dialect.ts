import type { SqlDialect } from '../../connector/sql/dialect.ts'

const identifier = (name: string) => `"${name.replaceAll('"', '""')}"`
/** Sessions set standard_conforming_strings, so a backslash is only a backslash. */
const text = (value: string) => `'${value.replaceAll("'", "''")}'`

export const dialect: SqlDialect = {
  identifier,
  text,
  value: (value, column) => `${text(value)}::${column.sqlType}`,
  place: (expression) => `${expression}::text`,
  first: (select, rows) => `${select} limit ${rows}`,
  asText: (expression, column) =>
    /^(text|character varying|citext)$/.test(column.sqlType) ? expression : `${expression}::text`,
  rowComparison: true,
}

/** `"schema"."table"`. */
export const relation = (table: { schema: string; name: string }) =>
  `${identifier(table.schema)}.${identifier(table.name)}`
