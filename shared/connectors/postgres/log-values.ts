import { fromText } from '../../connector/sql/values.ts'
import { JsonText } from '../../core/json.ts'
import type { LogicalType } from '../../schema/types.ts'
import type { PostgresConfig } from './config.ts'
import { type Literal, parseArray, parseHstore, parseRecord } from './literals.ts'
import { mapColumn, type PgAttribute, type PgType, type PgTypes } from './types.ts'

export type Decode = (text: string) => unknown

export interface DecodeOptions {
  types: PgTypes
  config: PostgresConfig
  /** Digits behind the point of `money` in this database's locale. */
  moneyScale: number
}

/**
 * How the server's own text of a column, which is what the log carries, becomes the value that a read of the table by
 * `SqlColumn.read` would have given. test/service/postgres-cdc.test.ts compares the two for every type.
 */
export function decoderOf(attribute: PgAttribute, options: DecodeOptions): Decode {
  const { type } = mapColumn(attribute, options.types, options.config)
  return decoder(resolve(attribute.typeOid, options.types), type, options)
}

/** The type below any domains. */
function resolve(oid: number, types: PgTypes): PgType | undefined {
  let type = types.get(oid)
  while (type?.kind === 'd') type = types.get(type.baseType)
  return type
}

function decoder(type: PgType | undefined, logical: LogicalType, options: DecodeOptions): Decode {
  if (!type) return (text) => text
  if (logical.kind === 'variant') {
    const json = jsonOf(type, options)
    return (text) => new JsonText(json(text))
  }
  if (type.isArray && logical.kind === 'array') {
    const element = decoder(resolve(type.element, options.types), logical.element, options)
    const each = (item: Literal): unknown =>
      item === null ? null : Array.isArray(item) ? item.map(each) : element(item)
    return (text) => parseArray(text, type.delimiter).map(each)
  }
  switch (type.name) {
    case 'money':
      return (text) => moneyText(text, options.moneyScale)
    case 'date':
      return (text) => isoDate(text, '9999-12-31', '0001-01-01')
    case 'timestamp':
    case 'timestamptz':
      return (text) => isoDate(text, '9999-12-31 23:59:59.999999+00', '0001-01-01 00:00:00+00')
    case 'hstore':
      return parseHstore
    default:
      return (text) => fromText(text, logical)
  }
}

/** The JSON text that `to_json` gives for a value. */
function jsonOf(type: PgType | undefined, options: DecodeOptions): (text: string) => string {
  if (type?.isArray) {
    const element = jsonOf(resolve(type.element, options.types), options)
    const each = (item: Literal): string =>
      item === null ? 'null' : Array.isArray(item) ? `[${item.map(each).join(',')}]` : element(item)
    return (text) => `[${parseArray(text, type.delimiter).map(each).join(',')}]`
  }
  if (type?.kind === 'c') {
    const attributes = type.attributes.map(({ name, typeOid }) => ({
      name: JSON.stringify(name),
      json: jsonOf(resolve(typeOid, options.types), options),
    }))
    return (text) => {
      const values = parseRecord(text)
      const pairs = attributes.map(({ name, json }, index) => {
        const value = values[index] ?? null
        return `${name}:${value === null ? 'null' : json(value)}`
      })
      return `{${pairs.join(',')}}`
    }
  }
  switch (type?.name) {
    case 'json':
    case 'jsonb':
      return (text) => text
    case 'bool':
      return (text) => (text === 't' ? 'true' : 'false')
    case 'int2':
    case 'int4':
    case 'int8':
    case 'float4':
    case 'float8':
    case 'numeric':
      return (text) => (/^-?[0-9]/.test(text) ? text : JSON.stringify(text))
    case 'timestamp':
      return (text) => JSON.stringify(text.replace(' ', 'T'))
    case 'timestamptz':
      return (text) => JSON.stringify(text.replace(' ', 'T').replace(/([+-]\d\d)$/, '$1:00'))
    default:
      return (text) => JSON.stringify(text)
  }
}

/** `-$1,234.56` in whatever locale: its digits and sign. */
function moneyText(text: string, scale: number): string {
  const digits = text.replace(/\D/g, '').padStart(scale + 1, '0')
  const sign = /[-(]/.test(text) ? '-' : ''
  return scale === 0 ? sign + digits : `${sign}${digits.slice(0, -scale)}.${digits.slice(-scale)}`
}

/** PostgreSQL's ISO style with eras and infinities, as ISO 8601 with signed years: 44 BC is the year -0043. */
function isoDate(text: string, infinity: string, minusInfinity: string): string {
  if (text === 'infinity') return infinity
  if (text === '-infinity') return minusInfinity
  if (!text.endsWith(' BC')) return text
  const dash = text.indexOf('-')
  const year = 1 - Number(text.slice(0, dash))
  return `${year === 0 ? '' : '-'}${String(-year).padStart(4, '0')}${text.slice(dash, -3)}`
}
