import { IngestError } from '../../core/errors.ts'
import { JsonText } from '../../core/json.ts'
import { textDecoder } from './charsets.ts'
import { dataTypeOf, listOf } from './column-type.ts'
import { decimalReader } from './decimal.ts'
import { jsonText } from './jsonb.ts'
import { dayText, fraction, instantText, momentText, oldMoment, oldTime, timeText } from './log-moments.ts'
import { codes, isGeometry, type LoggedType } from './logged-types.ts'
import type { ShapeColumn } from './shape.ts'

/** A place in the bytes of a row. */
export interface Reader {
  bytes: Buffer
  at: number
}

/** Reads one value that is not NULL and moves behind it: the JavaScript value of docs/connectors.md ("Values"). */
export type Decode = (reader: Reader) => unknown

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
  if (isGeometry(dataType)) return (bytes, at, end) => Buffer.from(bytes.subarray(at + 4, end))
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
