import { IngestError } from '../../core/errors.ts'
import { JsonText } from '../../core/json.ts'
import { textDecoder } from './charsets.ts'
import { decimalReader } from './decimal.ts'
import { jsonText } from './jsonb.ts'
import type { ShapeColumn } from './shape.ts'

/** A place in the bytes of a row. */
export interface Reader {
  bytes: Buffer
  at: number
}

/** Reads one value that is not NULL and moves behind it: the JavaScript value of docs/connectors.md ("Values"). */
export type Decode = (reader: Reader) => unknown

/** Types of columns in a table map (MySQL Internals, "Column Types"). */
const codes = {
  tiny: 1,
  short: 2,
  long: 3,
  float: 4,
  double: 5,
  timestamp: 7,
  longlong: 8,
  int24: 9,
  date: 10,
  time: 11,
  datetime: 12,
  year: 13,
  newdate: 14,
  varchar: 15,
  bit: 16,
  timestamp2: 17,
  datetime2: 18,
  time2: 19,
  vector: 242,
  json: 245,
  decimal: 246,
  enum: 247,
  set: 248,
  tinyBlob: 249,
  blob: 252,
  varString: 253,
  string: 254,
  geometry: 255,
} as const

/** One column of a table map: its type, and what the metadata says of it. */
export interface LoggedType {
  code: number
  meta: number
}

/** The columns of a table map: a string may be an enum or set, and its length has two more bits in its type. */
export function loggedTypes(types: Buffer, meta: Buffer): LoggedType[] {
  let at = 0
  return Array.from(types, (code) => {
    switch (code) {
      case codes.float:
      case codes.double:
      case codes.timestamp2:
      case codes.datetime2:
      case codes.time2:
      case codes.blob:
      case codes.geometry:
      case codes.json:
      case codes.vector:
      case codes.tinyBlob:
        return { code, meta: meta[at++]! }
      case codes.varchar:
      case codes.varString:
      case codes.bit:
        at += 2
        return { code, meta: meta.readUInt16LE(at - 2) }
      case codes.decimal:
        at += 2
        return { code, meta: (meta[at - 2]! << 8) | meta[at - 1]! }
      case codes.string:
      case codes.enum:
      case codes.set: {
        const [real, length] = [meta[at]!, meta[at + 1]!]
        at += 2
        if ((real & 0x30) !== 0x30) return { code: real | 0x30, meta: length | (((real & 0x30) ^ 0x30) << 4) }
        return { code: real, meta: length }
      }
      case 140:
      case 141:
        throw new IngestError(
          'config.invalid',
          'a compressed column is in the log: read the table by query or snapshot',
        )
      default:
        return { code, meta: 0 }
    }
  })
}

/** Which logged types a column of this DATA_TYPE may have. */
export function fits(dataType: string, { code, meta }: LoggedType): boolean {
  const wanted = logged[dataType]
  // uuid, inet6 and the like are strings of a fixed length.
  return wanted ? wanted.includes(code) : code === codes.string && meta > 0
}

const text = [codes.blob, codes.tinyBlob]
const geometry = [codes.geometry, codes.blob]
const logged: Record<string, readonly number[]> = {
  tinyint: [codes.tiny],
  smallint: [codes.short],
  mediumint: [codes.int24],
  int: [codes.long],
  bigint: [codes.longlong],
  float: [codes.float],
  double: [codes.double],
  decimal: [codes.decimal],
  bit: [codes.bit],
  year: [codes.year],
  date: [codes.date, codes.newdate],
  time: [codes.time, codes.time2],
  datetime: [codes.datetime, codes.datetime2],
  timestamp: [codes.timestamp, codes.timestamp2],
  char: [codes.string],
  binary: [codes.string],
  varchar: [codes.varchar, codes.varString],
  varbinary: [codes.varchar, codes.varString],
  enum: [codes.enum],
  set: [codes.set],
  tinytext: text,
  text,
  mediumtext: text,
  longtext: text,
  tinyblob: text,
  blob: text,
  mediumblob: text,
  longblob: text,
  json: [codes.json],
  vector: [codes.vector, codes.varchar, codes.blob],
  geometry,
  point: geometry,
  linestring: geometry,
  polygon: geometry,
  multipoint: geometry,
  multilinestring: geometry,
  multipolygon: geometry,
  geometrycollection: geometry,
  geomcollection: geometry,
}

/**
 * How values of a column are read from the log. Without a column they are only passed over.
 *
 * @throws IngestError `config.invalid` (fix) for what cannot be read from a log
 */
export function decoderOf(type: LoggedType, column?: ShapeColumn): Decode {
  const { code, meta } = type
  const unsigned = column !== undefined && /\bunsigned\b/.test(column.type)
  switch (code) {
    case codes.tiny:
      return fixed(1, unsigned ? (b, at) => b[at] : (b, at) => b.readInt8(at))
    case codes.short:
      return fixed(2, unsigned ? (b, at) => b.readUInt16LE(at) : (b, at) => b.readInt16LE(at))
    case codes.int24:
      return fixed(3, unsigned ? (b, at) => b.readUIntLE(at, 3) : (b, at) => b.readIntLE(at, 3))
    case codes.long:
      return fixed(4, unsigned ? (b, at) => b.readUInt32LE(at) : (b, at) => b.readInt32LE(at))
    case codes.longlong:
      return fixed(8, unsigned ? (b, at) => b.readBigUInt64LE(at) : (b, at) => b.readBigInt64LE(at))
    case codes.float:
      return fixed(4, (b, at) => b.readFloatLE(at))
    case codes.double:
      return fixed(8, (b, at) => b.readDoubleLE(at))
    case codes.year:
      return fixed(1, (b, at) => (b[at] === 0 ? 0 : 1900 + b[at]!))
    case codes.date:
    case codes.newdate:
      return fixed(3, (b, at) => {
        const days = b.readUIntLE(at, 3)
        return dayText(days >> 9, (days >> 5) & 15, days & 31)
      })
    case codes.timestamp:
      return fixed(4, (b, at) => instantText(b.readUInt32LE(at), 0, 0))
    case codes.datetime:
      return fixed(8, (b, at) => oldMoment(b.readBigInt64LE(at)))
    case codes.time:
      return fixed(3, (b, at) => oldTime(b.readIntLE(at, 3)))
    case codes.timestamp2:
      return fixed(4 + ((meta + 1) >> 1), (b, at) => instantText(b.readUInt32BE(at), fraction(b, at + 4, meta), meta))
    case codes.datetime2:
      return fixed(5 + ((meta + 1) >> 1), (b, at) => momentText(b, at, meta))
    case codes.time2:
      return fixed(3 + ((meta + 1) >> 1), (b, at) => timeText(b, at, meta))
    case codes.decimal: {
      const { length, text } = decimalReader(meta >> 8, meta & 0xff)
      return fixed(length, text)
    }
    case codes.bit: {
      const bytes = (meta >> 8) + ((meta & 0xff) > 0 ? 1 : 0)
      return fixed(bytes, column?.type === 'bit(1)' ? (b, at) => b[at] === 1 : (b, at) => bits(b, at, bytes))
    }
    case codes.enum: {
      const names = column ? listOf(column.type) : []
      return fixed(meta, (b, at) => names[b.readUIntLE(at, meta) - 1] ?? '')
    }
    case codes.set: {
      const names = column ? listOf(column.type) : []
      return fixed(meta, (b, at) => members(b, at, meta, names))
    }
    case codes.string:
      return withLength(meta > 255 ? 2 : 1, takerOf(column, meta))
    case codes.varchar:
    case codes.varString:
      return withLength(meta > 255 ? 2 : 1, takerOf(column, 0))
    case codes.blob:
    case codes.tinyBlob:
    case codes.geometry:
    case codes.vector:
    case codes.json:
      return withLength(meta, takerOf(column, 0))
    default:
      throw new IngestError(
        'config.invalid',
        `the log holds a column${column ? ` ${column.name}` : ''} of a type that is not read from it (${code}): read the table by query or snapshot`,
      )
  }
}

type Take<T = unknown> = (bytes: Buffer, at: number) => T

function fixed(length: number, take: Take): Decode {
  return (reader) => {
    const { at } = reader
    reader.at = at + length
    return take(reader.bytes, at)
  }
}

function withLength(lengthBytes: number, take: (bytes: Buffer, at: number, end: number) => unknown): Decode {
  return (reader) => {
    const { bytes } = reader
    let at = reader.at
    const length = lengthBytes === 1 ? bytes[at]! : bytes.readUIntLE(at, lengthBytes)
    at += lengthBytes
    reader.at = at + length
    return take(bytes, at, at + length)
  }
}

/** What stands behind a length, by the column's own type. `padded`: bytes of a string whose trailing fill is not logged. */
function takerOf(column: ShapeColumn | undefined, padded: number): (bytes: Buffer, at: number, end: number) => unknown {
  if (!column) return () => undefined
  const dataType = dataTypeOf(column.type)
  if (dataType === 'json') return (bytes, at, end) => new JsonText(jsonText(bytes.subarray(at, end)))
  if (dataType === 'uuid') return (bytes, at, end) => uuidText(filled(bytes.subarray(at, end), 16))
  if (dataType === 'inet4') return (bytes, at, end) => filled(bytes.subarray(at, end), 4).join('.')
  if (dataType === 'inet6') return (bytes, at, end) => inet6Text(filled(bytes.subarray(at, end), 16))
  if (logged[dataType] === geometry) return (bytes, at, end) => Buffer.from(bytes.subarray(at + 4, end))
  if (column.charset === null) {
    const length = dataType === 'binary' ? padded : 0
    return (bytes, at, end) => filled(bytes.subarray(at, end), length)
  }
  const decode = textDecoder(column.charset, column.name)
  return column.json ? (bytes, at, end) => new JsonText(decode(bytes, at, end)) : decode
}

/** A copy of its own, with the zeros that the log leaves out at the end. */
function filled(bytes: Buffer, length: number): Buffer {
  const whole = Buffer.alloc(Math.max(length, bytes.length))
  bytes.copy(whole)
  return whole
}

export const dataTypeOf = (columnType: string): string => /^[a-z0-9]+/.exec(columnType)?.[0] ?? ''

/** The names in `enum('a','it''s')`, as information_schema writes them. */
export function listOf(columnType: string): string[] {
  const plain: Record<string, string> = { n: '\n', r: '\r', t: '\t', '0': '\0', Z: '\x1a' }
  return [...columnType.slice(columnType.indexOf('(')).matchAll(/'((?:[^'\\]|''|\\.)*)'/gs)].map(([, name]) =>
    name!.replace(/''|\\(.)/gs, (_, letter: string | undefined) =>
      letter === undefined ? "'" : (plain[letter] ?? letter),
    ),
  )
}

function members(bytes: Buffer, at: number, length: number, names: readonly string[]): string {
  let mask = 0n
  for (let index = length - 1; index >= 0; index--) mask = (mask << 8n) | BigInt(bytes[at + index]!)
  return names.filter((_, index) => (mask >> BigInt(index)) & 1n).join(',')
}

function bits(bytes: Buffer, at: number, length: number): bigint {
  let value = 0n
  for (let index = 0; index < length; index++) value = (value << 8n) | BigInt(bytes[at + index]!)
  return value
}

const two = (value: number) => (value < 10 ? `0${value}` : String(value))

/** `2024-00-10` and `0000-00-00` are no days: null. */
function dayText(year: number, month: number, day: number): string | null {
  if (month === 0 || day === 0) return null
  return `${String(year).padStart(4, '0')}-${two(month)}-${two(day)}`
}

/** As many digits as the column has, as in a query's answer. */
const fractionText = (micros: number, digits: number) =>
  digits === 0 ? '' : `.${String(micros).padStart(6, '0').slice(0, digits)}`

/** The day of the last instant: those of a log lie close together, and a Date costs more than the rest of a row. */
let [lastDay, lastDayText] = [-1, '']

/** Zero stands for `0000-00-00 00:00:00`. */
function instantText(seconds: number, micros: number, digits: number): string | null {
  if (seconds === 0 && micros === 0) return null
  const day = Math.floor(seconds / 86_400)
  if (day !== lastDay) [lastDay, lastDayText] = [day, new Date(day * 86_400_000).toISOString().slice(0, 10)]
  const clock = seconds - day * 86_400
  const minutes = Math.floor(clock / 60)
  return `${lastDayText} ${two(Math.floor(minutes / 60))}:${two(minutes % 60)}:${two(clock % 60)}${fractionText(micros, digits)}`
}

/** Digits of a fraction are stored in pairs, the highest byte first. */
function fraction(bytes: Buffer, at: number, digits: number): number {
  const length = (digits + 1) >> 1
  return length === 0 ? 0 : bytes.readUIntBE(at, length) * 10 ** (6 - 2 * length)
}

/** 40 bits: 1 sign, 17 year * 13 + month, 5 day, 5 hour, 6 minute, 6 second. */
function momentText(bytes: Buffer, at: number, digits: number): string | null {
  const packed = bytes.readUIntBE(at, 5) - 0x80_0000_0000
  const days = Math.floor(packed / 0x2_0000)
  const time = packed % 0x2_0000
  const months = days >> 5
  const day = dayText(Math.floor(months / 13), months % 13, days & 31)
  if (day === null) return null
  return `${day} ${two(time >> 12)}:${two((time >> 6) & 63)}:${two(time & 63)}${fractionText(fraction(bytes, at + 5, digits), digits)}`
}

/** 24 bits: 1 sign, 1 unused, 10 hour, 6 minute, 6 second; with its fraction one number, negative as two's complement. */
function timeText(bytes: Buffer, at: number, digits: number): string {
  const length = (digits + 1) >> 1
  const unit = 2 ** (8 * length)
  const packed = bytes.readUIntBE(at, 3 + length) - 0x80_0000 * unit
  const absolute = Math.abs(packed)
  const whole = Math.floor(absolute / unit)
  const micros = (absolute % unit) * 10 ** (6 - 2 * length)
  return `${packed < 0 ? '-' : ''}${two((whole >> 12) & 0x3ff)}:${two((whole >> 6) & 63)}:${two(whole & 63)}${fractionText(micros, digits)}`
}

/** 20240131235959 */
function oldMoment(packed: bigint): string | null {
  const digits = String(packed).padStart(14, '0')
  const part = (from: number, to: number) => Number(digits.slice(from, to))
  const day = dayText(part(0, 4), part(4, 6), part(6, 8))
  return day && `${day} ${digits.slice(8, 10)}:${digits.slice(10, 12)}:${digits.slice(12, 14)}`
}

function oldTime(packed: number): string {
  const value = Math.abs(packed)
  return `${packed < 0 ? '-' : ''}${two(Math.floor(value / 10_000))}:${two(Math.floor(value / 100) % 100)}:${two(value % 100)}`
}

function uuidText(bytes: Buffer): string {
  const hex = bytes.toString('hex')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
}

/** The longest run of zero groups, of two or more, is written `::`; addresses that hold one of IPv4 end with it. */
function inet6Text(bytes: Buffer): string {
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(index * 2))
  const mapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff
  const compatible = groups.slice(0, 6).every((group) => group === 0) && groups[6] !== 0
  if (mapped || compatible) return `::${mapped ? 'ffff:' : ''}${[...bytes.subarray(12)].join('.')}`
  let [best, length] = [-1, 1]
  for (let from = 0; from < 8; from++) {
    let to = from
    while (to < 8 && groups[to] === 0) to++
    if (to - from > length) [best, length] = [from, to - from]
  }
  const hex = groups.map((group) => group.toString(16))
  return best < 0 ? hex.join(':') : `${hex.slice(0, best).join(':')}::${hex.slice(best + length).join(':')}`
}
