import { compareBytes } from '../core/byte-order.ts'
import type { LogicalType } from '../schema/types.ts'

/**
 * One value in a form that compares with `<` within its type: bigint for integers, decimals (unscaled), dates (days) and
 * timestamps (microseconds), number for floats, string for strings and boolean for booleans.
 */
export type Comparable = bigint | number | string | boolean

const MICROS_A_DAY = 86_400_000_000n

/**
 * Reads the text of a partition value or of a bound in statistics. Undefined when the text is no such value.
 * Timestamps are `2024-01-02 03:04:05.678901` or ISO-8601; without a zone they are UTC (Delta protocol, "Partition Value
 * Serialization"). Binary values have no order here.
 */
export function parseValue(text: string, type: LogicalType): Comparable | undefined {
  switch (type.kind) {
    case 'byte':
    case 'short':
    case 'integer':
    case 'long':
      return /^[+-]?\d+$/.test(text) ? BigInt(text) : undefined
    case 'decimal':
      return unscaled(text, type.scale)
    case 'float':
    case 'double': {
      const value = Number(text)
      return text.trim() === '' || Number.isNaN(value) ? undefined : value
    }
    case 'boolean':
      return /^true$/i.test(text) ? true : /^false$/i.test(text) ? false : undefined
    case 'date': {
      const micros = parseTimestamp(text)
      return micros === undefined ? undefined : floorDivide(micros, MICROS_A_DAY)
    }
    case 'timestamp':
    case 'timestamp_ntz':
      return parseTimestamp(text)
    case 'string':
    case 'variant':
      return text
    default:
      return undefined
  }
}

/** Negative, zero or positive as `a` is before, at or after `b`. Strings are in the order of their UTF-8 bytes. */
export function compareValues(a: Comparable, b: Comparable): number {
  if (typeof a === 'string' && typeof b === 'string') return compareBytes(a, b)
  return a < b ? -1 : a > b ? 1 : 0
}

/** `2.5` at scale 2 is 250; exponents are read as well. Undefined for more digits after the point than the scale holds. */
function unscaled(text: string, scale: number): bigint | undefined {
  const match = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d+))?$/.exec(text)
  if (!match || `${match[2]}${match[3] ?? ''}` === '') return undefined
  const shift = Number(match[4] ?? 0)
  const fraction = match[3] ?? ''
  const zeros = scale + shift - fraction.length
  let value = BigInt(match[2] + fraction)
  if (zeros >= 0) value *= 10n ** BigInt(zeros)
  else {
    const divisor = 10n ** BigInt(-zeros)
    if (value % divisor !== 0n) return undefined
    value /= divisor
  }
  return match[1] === '-' ? -value : value
}

function parseTimestamp(text: string): bigint | undefined {
  const match =
    /^([+-]?\d{4,6})-(\d{1,2})-(\d{1,2})(?:[T ](\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?\s*(Z|UTC|[+-]\d{2}:?\d{2})?)?$/.exec(
      text.trim(),
    )
  if (!match) return undefined
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map((part) => Number(part ?? 0)) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ]
  const date = new Date(0)
  date.setUTCFullYear(year, month - 1, day)
  date.setUTCHours(hour, minute, second)
  if (Number.isNaN(date.getTime())) return undefined
  const fraction = BigInt((match[7] ?? '').padEnd(6, '0').slice(0, 6))
  return BigInt(date.getTime()) * 1000n + fraction - zoneMicros(match[8])
}

function zoneMicros(zone: string | undefined): bigint {
  const match = /^([+-])(\d{2}):?(\d{2})$/.exec(zone ?? '')
  if (!match) return 0n
  const micros = BigInt(Number(match[2]) * 60 + Number(match[3])) * 60_000_000n
  return match[1] === '-' ? -micros : micros
}

const floorDivide = (a: bigint, b: bigint) => (a - (((a % b) + b) % b)) / b
