import type { Filter, Literal } from '../../connector/filter.ts'
import { IngestError } from '../../core/errors.ts'
import type { FieldDescription } from './types.ts'

export type Fields = ReadonlyMap<string, FieldDescription>

/** A query of one object; conditions are joined by AND. */
export function soql(
  columns: readonly string[],
  object: string,
  conditions: readonly string[],
  tail: 'none' | 'by id' = 'none',
): string {
  const where = conditions.length > 0 ? ` WHERE ${conditions.map((each) => `(${each})`).join(' AND ')}` : ''
  return `SELECT ${columns.join(',')} FROM ${object}${where}${tail === 'by id' ? ' ORDER BY Id' : ''}`
}

/** A text constant (SOQL and SOSL Reference, "Quoted String Escape Sequences"). */
export const text = (value: string) =>
  `'${value.replace(/[\\'\n\r\t\b\f]/g, (letter) => escapes[letter as keyof typeof escapes])}'`

const escapes = { '\\': '\\\\', "'": "\\'", '\n': '\\n', '\r': '\\r', '\t': '\\t', '\b': '\\b', '\f': '\\f' }

/** An instant as SOQL wants it: without quotes. */
export const instant = (ms: number) => new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z')

/**
 * A filter as SOQL. Names are the org's own, every constant is of its field's type, so nothing of it can become another
 * part of the query. As in SQL, a comparison with null is not true; SOQL alone would have `!=` take null too.
 *
 * @throws IngestError `source.object_missing` (fix), `config.invalid` (fix) for what cannot be filtered by
 */
export function filterSoql(filter: Filter, fields: Fields): string {
  if ('terms' in filter) {
    if (filter.terms.length === 0) return filter.op === 'and' ? 'Id != null' : 'Id = null'
    return filter.terms.map((term) => `(${filterSoql(term, fields)})`).join(filter.op === 'and' ? ' AND ' : ' OR ')
  }
  const field = fieldNamed(filter.column, fields)
  const { name } = field
  if (field.filterable === false)
    throw new IngestError(
      'config.invalid',
      `row_filter: the org cannot filter by ${name}, a field of type ${field.type}`,
    )
  switch (filter.op) {
    case 'is null':
      return `${name} ${filter.negated ? '!=' : '='} null`
    case 'in': {
      if (filter.values.length === 0) return filter.negated ? 'Id != null' : 'Id = null'
      const values = filter.values.map((value) => constant(value, field)).join(',')
      return filter.negated ? `${name} NOT IN (${values}) AND ${name} != null` : `${name} IN (${values})`
    }
    case 'like':
      return filter.negated
        ? `(NOT ${name} LIKE ${text(filter.pattern)}) AND ${name} != null`
        : `${name} LIKE ${text(filter.pattern)}`
    case '!=':
      return `${name} != ${constant(filter.value, field)} AND ${name} != null`
    default:
      return `${name} ${filter.op} ${constant(filter.value, field)}`
  }
}

export function fieldNamed(name: string, fields: Fields): FieldDescription {
  const found =
    fields.get(name) ?? [...fields.values()].find((field) => field.name.toLowerCase() === name.toLowerCase())
  if (found) return found
  throw new IngestError(
    'source.object_missing',
    `there is no field ${JSON.stringify(name)}: the fields are ${[...fields.keys()].join(', ')}`,
  )
}

function constant(literal: Literal, field: FieldDescription): string {
  const value = literal.text.trim()
  switch (field.type) {
    case 'boolean':
      if (/^(true|t|1|yes|on)$/i.test(value)) return 'TRUE'
      if (/^(false|f|0|no|off)$/i.test(value)) return 'FALSE'
      break
    case 'int':
    case 'long':
    case 'double':
    case 'currency':
    case 'percent':
      if (/^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(value)) return value.replace(/^\./, '0.')
      break
    case 'date':
      if (/^\d{4}-\d\d-\d\d$/.test(value)) return value
      break
    case 'datetime': {
      const zoned = /([zZ]|[+-]\d\d(:?\d\d)?)$/.test(value.slice(10))
        ? value
        : `${value}${value.length === 10 ? 'T00:00:00' : ''}Z`
      const ms = Date.parse(zoned.replace(' ', 'T'))
      if (/^\d{4}-\d\d-\d\d/.test(value) && !Number.isNaN(ms)) return new Date(ms).toISOString()
      break
    }
    case 'time':
      if (/^\d\d:\d\d(:\d\d(\.\d{1,3})?)?Z?$/.test(value)) return value
      break
    default:
      return text(literal.text)
  }
  throw new IngestError(
    'config.invalid',
    `${JSON.stringify(value)} is not a value of ${field.name}, a field of type ${field.type}`,
  )
}
