import type { SqlColumn } from '../../connector/sql/dialect.ts'
import type { LogicalType, PrimitiveKind } from '../../schema/types.ts'
import type { Cell } from './copy-rows.ts'

/** One column as information_schema has it. */
export interface MysqlAttribute {
  name: string
  /** DATA_TYPE: `int`, `varchar`. */
  dataType: string
  /** COLUMN_TYPE: `int(10) unsigned`, `enum('a','b')`. */
  columnType: string
  nullable: boolean
  charset: string | null
  collation: string | null
  /** CHARACTER_OCTET_LENGTH. */
  octets: number | null
  precision: number | null
  scale: number | null
  /** Digits of a second's fraction. */
  fraction: number | null
  /** EXTRA: `auto_increment`, `VIRTUAL GENERATED`, `INVISIBLE`. */
  extra: string
  /** The server checks that every value is JSON. */
  isJson: boolean
  readable: boolean
  comment: string
}

/** A column of a source table, and how the bytes of its values become cells. */
export interface MysqlColumn extends SqlColumn {
  cell: Cell
  attribute: MysqlAttribute
  /** Its values are ordered as their texts are compared, so that ranges of them can be read. */
  ordered: boolean
}

interface Mapping {
  type: LogicalType
  cell: Cell
  /** Undefined: the server's own text is right as it is. */
  read?: (value: string) => string
  ordered?: boolean
  /** A value that the server holds may be NULL here. */
  mayBeNull?: boolean
}

const kind = (name: PrimitiveKind, cell: Cell = 'plain', ordered = true): Mapping => ({
  type: { kind: name },
  cell,
  ordered,
})
const decimal = (precision: number, scale: number): Mapping => ({
  type: { kind: 'decimal', precision, scale },
  cell: 'plain',
  ordered: true,
})
/** Padding with zeros, `year` and `bit` are ways to show a number. */
const asNumber = (mapping: Mapping): Mapping => ({ ...mapping, read: (value) => `${value} + 0` })
/** FLOAT is shown with six digits, and (M,D) with D: multiplied it is shown as the double it is. */
const exact = (mapping: Mapping): Mapping => ({ ...mapping, read: (value) => `${value} * 1e0`, ordered: false })
const text: Mapping = kind('string', 'text')
const binary: Mapping = kind('binary', 'binary')
const moment = (name: PrimitiveKind): Mapping => ({ ...kind(name, 'moment'), mayBeNull: true })

/** By DATA_TYPE: type, and type of the unsigned. */
const integers: Record<string, [Mapping, Mapping]> = {
  tinyint: [kind('byte'), kind('short')],
  smallint: [kind('short'), kind('integer')],
  mediumint: [kind('integer'), kind('integer')],
  int: [kind('integer'), kind('long')],
  bigint: [kind('long'), decimal(20, 0)],
}

/** The table of docs/connectors/mysql.md ("Types") by DATA_TYPE; a test compares every line with a real server. */
const plain: Record<string, Mapping> = {
  double: kind('double', 'plain', false),
  float: exact(kind('float')),
  date: moment('date'),
  datetime: moment('timestamp'),
  timestamp: moment('timestamp'),
  time: { ...text, ordered: false },
  year: asNumber(kind('short')),
  char: text,
  varchar: text,
  tinytext: text,
  text,
  mediumtext: text,
  longtext: text,
  // Compared as texts, ordered as numbers.
  enum: { ...text, ordered: false },
  set: { ...text, ordered: false },
  binary,
  varbinary: binary,
  tinyblob: binary,
  blob: binary,
  mediumblob: binary,
  longblob: binary,
  vector: binary,
  json: kind('variant', 'text', false),
  uuid: { ...text, ordered: false },
  inet4: { ...text, ordered: false },
  inet6: { ...text, ordered: false },
}

const geometries = new Set([
  'geometry',
  'point',
  'linestring',
  'polygon',
  'multipoint',
  'multilinestring',
  'multipolygon',
  'geometrycollection',
  'geomcollection',
])

/** How one column is read. */
export function mapColumn(attribute: MysqlAttribute): MysqlColumn {
  const { type, cell, read, ordered = false, mayBeNull } = mapType(attribute)
  return {
    name: attribute.name,
    sqlType: attribute.dataType,
    nullable: attribute.nullable || mayBeNull === true,
    type,
    cell,
    attribute,
    ordered,
    read: read ?? ((value) => value),
  }
}

export const isUnsigned = ({ columnType }: MysqlAttribute): boolean => /\bunsigned\b/.test(columnType)

function mapType(attribute: MysqlAttribute): Mapping {
  const { dataType, columnType, precision, scale } = attribute
  const integer = integers[dataType]
  if (integer) {
    const mapping = integer[isUnsigned(attribute) ? 1 : 0]
    return columnType.includes('zerofill') ? asNumber(mapping) : mapping
  }
  if (dataType === 'decimal')
    return (precision ?? 99) <= 38 ? decimal(precision!, scale ?? 0) : { ...text, ordered: false }
  if (dataType === 'double' && scale !== null) return exact(kind('double'))
  if (dataType === 'bit') {
    if (precision === 1) return { ...asNumber(kind('boolean')), ordered: false }
    return asNumber(precision! > 63 ? decimal(20, 0) : kind('long'))
  }
  if (geometries.has(dataType)) return kind('binary', 'geometry', false)
  if (attribute.isJson) return kind('variant', 'text', false)
  return plain[dataType] ?? { ...kind('string', 'text', false), read: (value) => `cast(${value} as char)` }
}
