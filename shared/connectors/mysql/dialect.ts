import type { SqlColumn, SqlDialect } from '../../connector/sql/dialect.ts'
import { IngestError } from '../../core/errors.ts'

const identifier = (name: string) => `\`${name.replaceAll('`', '``')}\``
/** Sessions have no NO_BACKSLASH_ESCAPES, so a backslash escapes. */
const text = (value: string) => `'${value.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`

const numbers = new Set(['byte', 'short', 'integer', 'long', 'decimal', 'float', 'double'])
const number = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/
const moment = /^\d{4,}-\d\d?-\d\d?([T ]\d\d?:\d\d(:\d\d(\.\d+)?)?)?(Z|\+00(:?00)?)?$/

/** Texts are compared as the column's collation does. */
export const dialect: SqlDialect = {
  identifier,
  text,
  value,
  place: (expression, column) =>
    column.type.kind === 'binary' ? `concat('\\\\x', hex(${expression}))` : column.read(expression),
  first: (select, rows) => `${select} limit ${rows}`,
  asText: (expression, column) => (column.type.kind === 'string' ? expression : `cast(${expression} as char)`),
  // Neither server uses an index for a range of several columns written as a row.
  rowComparison: false,
}

/**
 * Texts are compared letter by letter. What a changefeed is filtered by is compared here, where no collation of the
 * server is known: the first copy must agree with it.
 */
export const exactDialect: SqlDialect = {
  ...dialect,
  text: (value) => `${text(value)} collate utf8mb4_bin`,
  value: (value_, column) => value(value_, column) + (column.type.kind === 'string' ? ' collate utf8mb4_bin' : ''),
}

/** `\`schema\`.\`table\``. */
export const relation = (table: { schema: string; name: string }) =>
  `${identifier(table.schema)}.${identifier(table.name)}`

/** The server would take the digits at the beginning of any text for a number: that is no question of the user's. */
function value(given: string, column: SqlColumn): string {
  const { kind } = column.type
  if (numbers.has(kind)) {
    if (number.test(given)) return given
    throw notOfType(given, column)
  }
  switch (kind) {
    case 'boolean':
      return /^(t|true|1|yes|on)$/i.test(given) ? '1' : '0'
    case 'date':
    case 'timestamp':
      if (!moment.test(given)) throw notOfType(given, column)
      return text(given.replace('T', ' ').replace(/(Z|\+00(:?00)?)$/, ''))
    case 'binary':
      if (!/^\\x([0-9a-f]{2})*$/i.test(given)) throw notOfType(given, column)
      return `x'${given.slice(2)}'`
    default:
      return text(given)
  }
}

const notOfType = (given: string, column: SqlColumn) =>
  new IngestError(
    'config.invalid',
    `${JSON.stringify(given)} is compared with the column ${column.name}, which is ${column.sqlType}: write a constant of that type`,
  )
