import { IngestError } from '../../core/errors.ts'
import type { Filter, Literal } from '../filter.ts'
import type { SqlColumn, SqlDialect } from './dialect.ts'

/** Columns of one source table by name. */
export type SqlColumns = ReadonlyMap<string, SqlColumn>

/**
 * A filter as a condition of the source's SQL. Names are quoted, every constant is escaped and of its column's type.
 *
 * @throws IngestError `source.object_missing` (fix) for a column that is not there
 */
export function filterSql(filter: Filter, columns: SqlColumns, dialect: SqlDialect): string {
  switch (filter.op) {
    case 'and':
    case 'or':
      // Without terms: the neutral element of the operator.
      if (filter.terms.length === 0) return filter.op === 'and' ? '(1 = 1)' : '(1 = 0)'
      return `(${filter.terms.map((term) => filterSql(term, columns, dialect)).join(` ${filter.op} `)})`
    case 'in': {
      const column = columnNamed(filter.column, columns)
      if (filter.values.length === 0) return filter.negated ? '(1 = 1)' : '(1 = 0)'
      const values = filter.values.map((value) => constant(value, column, dialect)).join(', ')
      return `${dialect.identifier(column.name)} ${filter.negated ? 'not in' : 'in'} (${values})`
    }
    case 'like': {
      const column = columnNamed(filter.column, columns)
      const text = dialect.asText(dialect.identifier(column.name), column)
      return `${text} ${filter.negated ? 'not like' : 'like'} ${dialect.text(filter.pattern)}`
    }
    case 'is null': {
      const column = columnNamed(filter.column, columns)
      return `${dialect.identifier(column.name)} is ${filter.negated ? 'not null' : 'null'}`
    }
    default: {
      const column = columnNamed(filter.column, columns)
      const operator = filter.op === '!=' ? '<>' : filter.op
      return `${dialect.identifier(column.name)} ${operator} ${constant(filter.value, column, dialect)}`
    }
  }
}

/**
 * The column as the source spells it; a name that differs only in case is taken when it is the only one.
 *
 * @throws IngestError `source.object_missing` (fix), with the names there are
 */
export function columnNamed(name: string, columns: SqlColumns): SqlColumn {
  const exact = columns.get(name)
  if (exact) return exact
  const alike = [...columns.values()].filter((column) => column.name.toLowerCase() === name.toLowerCase())
  if (alike.length === 1) return alike[0]!
  throw new IngestError(
    'source.object_missing',
    `there is no column ${JSON.stringify(name)}: the columns are ${[...columns.keys()].join(', ')}`,
  )
}

const integers = new Set(['byte', 'short', 'integer', 'long'])

function constant(value: Literal, column: SqlColumn, dialect: SqlDialect): string {
  // `quantity > 2.5` on an integer column is a question with an answer; 2.5 as an integer is not.
  const fraction = value.kind === 'number' && integers.has(column.type.kind) && !/^[+-]?\d+$/.test(value.text)
  if (!fraction) return dialect.value(value.text, column)
  if (!/^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(value.text))
    throw new IngestError('config.invalid', `${JSON.stringify(value.text)} is not a number`)
  return value.text
}
