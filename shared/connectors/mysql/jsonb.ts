import { IngestError } from '../../core/errors.ts'
import { decimalReader } from './decimal.ts'

/**
 * MySQL's binary JSON as the text the server itself would give (MySQL source, `json_binary.h`). Members of an object are
 * in the order they are stored in: by length of their names, then by bytes.
 *
 * @throws IngestError `source.protocol_violation` (report)
 */
export function jsonText(bytes: Buffer): string {
  // A zero-length value is JSON null: an update in old formats.
  return bytes.length === 0 ? 'null' : valueText(bytes[0]!, bytes, 1)
}

function valueText(type: number, b: Buffer, at: number): string {
  switch (type) {
    case 0x00:
    case 0x01:
      return objectText(b, at, type === 0x01)
    case 0x02:
    case 0x03:
      return arrayText(b, at, type === 0x03)
    case 0x04:
      return ['null', 'true', 'false'][b[at]!] ?? 'null'
    case 0x05:
      return String(b.readInt16LE(at))
    case 0x06:
      return String(b.readUInt16LE(at))
    case 0x07:
      return String(b.readInt32LE(at))
    case 0x08:
      return String(b.readUInt32LE(at))
    case 0x09:
      return String(b.readBigInt64LE(at))
    case 0x0a:
      return String(b.readBigUInt64LE(at))
    case 0x0b:
      return doubleText(b.readDoubleLE(at))
    case 0x0c: {
      const [length, from] = variable(b, at)
      return JSON.stringify(b.toString('utf8', from, from + length))
    }
    case 0x0f:
      return opaqueText(b, at)
    default:
      throw new IngestError('source.protocol_violation', `a JSON value of the unknown type ${type} is in the log`)
  }
}

const inlined = (type: number, large: boolean) =>
  type === 0x04 || type === 0x05 || type === 0x06 || (large && (type === 0x07 || type === 0x08))

function objectText(b: Buffer, start: number, large: boolean): string {
  const size = large ? 4 : 2
  const offset = (at: number) => (large ? b.readUInt32LE(at) : b.readUInt16LE(at))
  const count = offset(start)
  const keys = start + 2 * size
  const values = keys + count * (size + 2)
  const members: string[] = []
  for (let index = 0; index < count; index++) {
    const key = keys + index * (size + 2)
    const from = start + offset(key)
    const name = b.toString('utf8', from, from + b.readUInt16LE(key + size))
    members.push(`${JSON.stringify(name)}: ${entryText(b, start, values + index * (size + 1), large, offset)}`)
  }
  return `{${members.join(', ')}}`
}

function arrayText(b: Buffer, start: number, large: boolean): string {
  const size = large ? 4 : 2
  const offset = (at: number) => (large ? b.readUInt32LE(at) : b.readUInt16LE(at))
  const values = start + 2 * size
  const elements = Array.from({ length: offset(start) }, (_, index) =>
    entryText(b, start, values + index * (size + 1), large, offset),
  )
  return `[${elements.join(', ')}]`
}

/** A type and either the value itself or the distance to it from the beginning of what holds it. */
function entryText(b: Buffer, start: number, at: number, large: boolean, offset: (at: number) => number): string {
  const type = b[at]!
  return valueText(type, b, inlined(type, large) ? at + 1 : start + offset(at + 1))
}

/** Seven bits a byte, the lowest first; the highest bit says that there is more. */
function variable(b: Buffer, at: number): [length: number, next: number] {
  let length = 0
  for (let index = 0; index < 5; index++) {
    const byte = b[at + index]!
    length += (byte & 0x7f) * 2 ** (7 * index)
    if (byte < 0x80) return [length, at + index + 1]
  }
  throw new IngestError('source.protocol_violation', 'a length in a JSON value of the log has no end')
}

/** A whole number keeps a mark of what it is: `1.0`. */
function doubleText(value: number): string {
  const text = String(value).replace('e+', 'e')
  return /^-?\d+$/.test(text) ? `${text}.0` : text
}

/** Values of SQL types that JSON lacks: dates, decimals, and bytes. */
function opaqueText(b: Buffer, at: number): string {
  const type = b[at]!
  const [length, from] = variable(b, at + 1)
  if (type === 246) return decimalReader(b[from]!, b[from + 1]!).text(b, from + 2)
  const packed = length === 8 ? b.readBigInt64LE(from) : 0n
  if (type === 10) return `"${dayOf(packed)}"`
  if (type === 7 || type === 12) return `"${dayOf(packed)} ${clockOf(packed & 0x1ff_ffff_ffffn)}"`
  if (type === 11) return `"${packed < 0n ? '-' : ''}${clockOf(packed < 0n ? -packed : packed)}"`
  return `"base64:type${type}:${b.toString('base64', from, from + length)}"`
}

const two = (value: bigint) => String(value).padStart(2, '0')

/** Bits above the 24 of microseconds and 17 of the time: year * 13 + month, day. */
function dayOf(packed: bigint): string {
  const days = packed >> 41n
  const months = days >> 5n
  return `${String(months / 13n).padStart(4, '0')}-${two(months % 13n)}-${two(days & 31n)}`
}

function clockOf(packed: bigint): string {
  const time = packed >> 24n
  return `${two((time >> 12n) & 0x3ffn)}:${two((time >> 6n) & 63n)}:${two(time & 63n)}.${String(packed & 0xff_ffffn).padStart(6, '0')}`
}
