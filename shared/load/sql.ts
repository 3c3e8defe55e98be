import { physicalName } from '../delta/column-mapping.ts'
import type { Field, LogicalType } from '../schema/types.ts'

/** `a"b` -> `"a""b"` */
export const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`
/** `it's` -> `'it''s'` */
export const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`
/** A list of columns, optionally of one table: `k."a", k."b"`. */
export const columns = (names: readonly string[], of = ''): string =>
  names.map((name) => (of === '' ? quoted(name) : `${of}.${quoted(name)}`)).join(', ')
/** `a."k" = b."k" and ...` */
export const sameKey = (names: readonly string[], a: string, b: string): string =>
  names.map((name) => `${a}.${quoted(name)} = ${b}.${quoted(name)}`).join(' and ')

/** A column's name by its place, which no column of a file or of the engine has: `"2 id"`. Messages of the engine show it. */
export const placed = (name: string, at: number): string => quoted(`${at} ${name}`)

/**
 * A binary column that filters do not reach the scan of: the engine looks up one value in a file's Bloom filter by its
 * text, and misses it (decision 0027).
 */
export const unpushed = (binary: string): string => `(${binary} || ''::BLOB)`

/** The engine's type that Parquet writes as the Delta type (Delta protocol, "Primitive Types"). */
export function sqlType(type: LogicalType): string {
  switch (type.kind) {
    case 'boolean':
      return 'BOOLEAN'
    case 'byte':
      return 'TINYINT'
    case 'short':
      return 'SMALLINT'
    case 'integer':
    // Only ever null, so any type will do.
    case 'void':
      return 'INTEGER'
    case 'long':
      return 'BIGINT'
    case 'float':
      return 'FLOAT'
    case 'double':
      return 'DOUBLE'
    case 'string':
    case 'variant':
      return 'VARCHAR'
    case 'binary':
      return 'BLOB'
    case 'date':
      return 'DATE'
    case 'timestamp':
      return 'TIMESTAMP WITH TIME ZONE'
    case 'timestamp_ntz':
      return 'TIMESTAMP'
    case 'decimal':
      return `DECIMAL(${type.precision},${type.scale})`
    case 'array':
      return `${sqlType(type.element)}[]`
    case 'map':
      return `MAP(${sqlType(type.key)}, ${sqlType(type.value)})`
    case 'struct':
      return `STRUCT(${type.fields.map((field) => `${quoted(physicalName(field))} ${sqlType(field.type)}`).join(', ')})`
  }
}

/** COPY's FIELD_IDS value, so that every column keeps its Parquet field id; undefined when none has one. */
export function fieldIds(fields: readonly Field[]): string | undefined {
  const entries = fields.flatMap((field) => {
    const value = fieldId(field.id, field.type)
    return value === undefined ? [] : [`${quoted(physicalName(field))}: ${value}`]
  })
  return entries.length === 0 ? undefined : `{${entries.join(', ')}}`
}

/** `{x: 2}` in a struct with id 1 -> `{__duckdb_field_id: 1, "x": 2}` */
function fieldId(id: number | undefined, type: LogicalType): string | undefined {
  const inner: string[] = []
  const add = (name: string, value: string | undefined) => value !== undefined && inner.push(`${name}: ${value}`)
  if (type.kind === 'struct')
    for (const field of type.fields) add(quoted(physicalName(field)), fieldId(field.id, field.type))
  if (type.kind === 'array') add('element', fieldId(undefined, type.element))
  if (type.kind === 'map') {
    add('key', fieldId(undefined, type.key))
    add('value', fieldId(undefined, type.value))
  }
  if (inner.length === 0) return id === undefined ? undefined : String(id)
  return `{${[...(id === undefined ? [] : [`__duckdb_field_id: ${id}`]), ...inner].join(', ')}}`
}
