import type { SqlColumn } from '../../connector/sql/dialect.ts'
import type { LogicalType, PrimitiveKind } from '../../schema/types.ts'
import type { PostgresConfig } from './config.ts'

/** A row of pg_type, as far as it says how to read a value. */
export interface PgType {
  oid: number
  /** `format_type(oid, null)`: the name to cast to. */
  sqlName: string
  name: string
  /** b base, c composite, d domain, e enum, p pseudo, r range, m multirange. */
  kind: string
  /** Array element, or 0. */
  element: number
  /** A true array: its subscripts are those of pg_type's array types. */
  isArray: boolean
  /** Between the elements of an array's text. */
  delimiter: string
  /** Of a composite type. */
  attributes: { name: string; typeOid: number }[]
  baseType: number
  baseTypmod: number
  baseDimensions: number
}

export type PgTypes = ReadonlyMap<number, PgType>

/** One attribute of a relation. */
export interface PgAttribute {
  name: string
  /** pg_attribute.attnum: stays the same when the column is renamed. */
  number: number
  typeOid: number
  typmod: number
  dimensions: number
  notNull: boolean
  /** pg_attribute.attgenerated: s stored, v virtual, empty for an ordinary column. */
  generated: string
  /** Rows older than the column have a value in it that is in no log: it was added with a default. */
  filled: boolean
}

interface Mapping {
  type: LogicalType
  /** Undefined: the server's own text is right as it is, which costs nothing. */
  read?: (value: string) => string
}

const kind = (name: PrimitiveKind): Mapping => ({ type: { kind: name } })
const asText: Mapping = { type: { kind: 'string' }, read: (value) => `${value}::text` }

/**
 * Infinite dates have no place in other engines: they become the ends of the range that all engines share. A finite
 * date outside that range stays as it is, does not fit, and its row is set aside.
 */
const finite = (type: LogicalType, low: string, high: string): Mapping => ({
  type,
  // NULL is neither finite nor infinite, and stays.
  read: (value) =>
    `case when isfinite(${value}) is not false then ${value} when ${value} < '${low}' then '${low}' else '${high}' end`,
})

/** The table of docs/connectors/postgres.md ("Types") by pg_type.typname; a test compares every line with a real server. */
const plain: Record<string, Mapping> = {
  bool: kind('boolean'),
  int2: kind('short'),
  int4: kind('integer'),
  int8: kind('long'),
  oid: kind('long'),
  xid: { ...kind('long'), read: (value) => `${value}::text` },
  cid: { ...kind('long'), read: (value) => `${value}::text` },
  xid8: { type: { kind: 'decimal', precision: 20, scale: 0 } },
  float4: kind('float'),
  float8: kind('double'),
  // A locale decides how money is written, never what it is worth.
  money: { type: { kind: 'decimal', precision: 19, scale: 2 }, read: (value) => `${value}::numeric` },
  bytea: kind('binary'),
  date: finite({ kind: 'date' }, '0001-01-01', '9999-12-31'),
  timestamp: finite({ kind: 'timestamp' }, '0001-01-01 00:00:00', '9999-12-31 23:59:59.999999'),
  timestamptz: finite({ kind: 'timestamp' }, '0001-01-01 00:00:00+00', '9999-12-31 23:59:59.999999+00'),
  json: kind('variant'),
  jsonb: kind('variant'),
  hstore: {
    type: { kind: 'map', key: { kind: 'string' }, value: { kind: 'string' }, valueContainsNull: true },
    read: (value) => `hstore_to_json(${value})`,
  },
  // pgvector: its own text is a JSON array.
  vector: { type: { kind: 'array', element: { kind: 'float' }, containsNull: false } },
}

/** How one attribute is read. */
export function mapColumn(attribute: PgAttribute, types: PgTypes, config: PostgresConfig): SqlColumn {
  const { type, read } = mapType(attribute.typeOid, attribute.typmod, attribute.dimensions, types, config)
  return {
    name: attribute.name,
    sqlType: types.get(attribute.typeOid)?.sqlName ?? 'text',
    nullable: !attribute.notNull,
    type,
    read: read ?? ((value) => value),
  }
}

function mapType(oid: number, typmod: number, dimensions: number, types: PgTypes, config: PostgresConfig): Mapping {
  const type = types.get(oid)
  if (!type) return asText
  if (type.kind === 'd')
    return mapType(
      type.baseType,
      type.baseTypmod === -1 ? typmod : type.baseTypmod,
      Math.max(type.baseDimensions, dimensions),
      types,
      config,
    )
  if (type.kind === 'c') return { type: { kind: 'variant' }, read: (value) => `to_json(${value})` }
  if (type.isArray) return mapArray(type, typmod, dimensions, types, config)
  if (type.name === 'numeric') return mapNumeric(typmod, config)
  return plain[type.name] ?? { type: { kind: 'string' } }
}

/**
 * numeric(p,s) exactly. The modifier holds the precision in its upper half and the scale, signed since version 15, in
 * the lower 11 bits: numeric(10,2) is ((10 << 16) | 2) + 4, numeric(3,-2) holds tens of thousands in hundreds.
 */
function mapNumeric(typmod: number, config: PostgresConfig): Mapping {
  if (typmod >= 4) {
    const precision = ((typmod - 4) >> 16) & 0xffff
    const scale = (((typmod - 4) & 0x7ff) ^ 1024) - 1024
    const digits = scale < 0 ? precision - scale : Math.max(precision, scale)
    if (digits <= 38) return { type: { kind: 'decimal', precision: digits, scale: Math.max(scale, 0) } }
  }
  const [, scale] = /^decimal\(38,(\d+)\)$/.exec(config.unbounded_numeric) ?? []
  if (scale !== undefined) return { type: { kind: 'decimal', precision: 38, scale: Number(scale) } }
  // Inside an array the text must be a string of JSON, not a number of it: hence the cast.
  return config.unbounded_numeric === 'double' ? kind('double') : asText
}

/**
 * One dimension becomes an array, more a JSON value. PostgreSQL does not enforce what was declared: a deeper value in a
 * column declared with one dimension does not fit and its row is set aside.
 */
function mapArray(array: PgType, typmod: number, dimensions: number, types: PgTypes, config: PostgresConfig): Mapping {
  if (dimensions > 1) return { type: { kind: 'variant' }, read: (value) => `array_to_json(${value})` }
  const element = mapType(array.element, typmod, 0, types, config)
  const type: LogicalType = { kind: 'array', element: element.type, containsNull: true }
  const json = elementJson(element)
  if (!json) return { type, read: (value) => `array_to_json(${value})` }
  return {
    type,
    read: (value) =>
      `case when ${value} is null then null when array_ndims(${value}) > 1 then array_to_json(${value}) else ` +
      `(select coalesce(json_agg(${json('e.v')} order by e.n), '[]') from unnest(${value}) with ordinality as e(v, n)) end`,
  }
}

/** How an element is written in JSON, where that is not what array_to_json does. */
function elementJson(element: Mapping): ((value: string) => string) | undefined {
  return element.type.kind === 'binary' ? (value) => `translate(encode(${value}, 'base64'), E'\\n', '')` : element.read
}
