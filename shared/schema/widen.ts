import { foldName } from './names.ts'
import { typeText } from './type-text.ts'
import type { Field, LogicalType, PrimitiveKind } from './types.ts'

/** Digits of the widest value of an integer type. */
const DIGITS: Partial<Record<PrimitiveKind | 'decimal', number>> = { byte: 3, short: 5, integer: 10, long: 19 }

/** Each holds every value of those before it. */
const LINES: readonly (readonly string[])[] = [
  ['byte', 'short', 'integer', 'long'],
  ['byte', 'short', 'float', 'double'],
  ['integer', 'double'],
  ['date', 'timestamp_ntz'],
  // A day is its midnight in UTC, as a time without a zone is kept (docs/connectors.md, "Types").
  ['date', 'timestamp'],
]

const MAX_PRECISION = 38

/**
 * The narrowest type that holds every value of both exactly; undefined when there is none. It is `a` itself, the same
 * object, where that holds every `b`. A struct gains the fields of the other one. Values of different kinds, such as a
 * number and its text, have no such type: consumers would find another value than before.
 */
export function commonType(a: LogicalType, b: LogicalType): LogicalType | undefined {
  if (typeText(a) === typeText(b)) return a
  if (a.kind === 'struct' && b.kind === 'struct') return commonStruct(a.fields, b.fields, a)
  if (a.kind === 'array' && b.kind === 'array') {
    const element = commonType(a.element, b.element)
    return element && (element === a.element ? a : { ...a, element })
  }
  if (a.kind === 'map' && b.kind === 'map') {
    const [key, value] = [commonType(a.key, b.key), commonType(a.value, b.value)]
    if (!key || !value) return undefined
    return key === a.key && value === a.value ? a : { ...a, key, value }
  }
  for (const line of LINES) {
    const [from, to] = [line.indexOf(a.kind), line.indexOf(b.kind)]
    if (from >= 0 && to >= 0) return from > to ? a : b
  }
  return commonDecimal(a, b)
}

function commonDecimal(a: LogicalType, b: LogicalType): LogicalType | undefined {
  const [left, right] = [digitsOf(a), digitsOf(b)]
  if (!left || !right || (a.kind !== 'decimal' && b.kind !== 'decimal')) return undefined
  const scale = Math.max(left.scale, right.scale)
  const precision = Math.max(left.whole, right.whole) + scale
  if (precision > MAX_PRECISION) return undefined
  const isA = a.kind === 'decimal' && a.precision === precision && a.scale === scale
  return isA ? a : { kind: 'decimal', precision, scale }
}

function digitsOf(type: LogicalType): { whole: number; scale: number } | undefined {
  if (type.kind === 'decimal') return { whole: type.precision - type.scale, scale: type.scale }
  const whole = DIGITS[type.kind as PrimitiveKind]
  return whole === undefined ? undefined : { whole, scale: 0 }
}

function commonStruct(a: readonly Field[], b: readonly Field[], whole: LogicalType): LogicalType | undefined {
  let same = true
  const fields: Field[] = []
  for (const field of a) {
    const other = b.find(({ name }) => foldName(name) === foldName(field.name))
    const type = other ? commonType(field.type, other.type) : field.type
    if (!type) return undefined
    same &&= type === field.type
    fields.push(type === field.type ? field : { ...field, type })
  }
  for (const field of b) {
    if (a.some(({ name }) => foldName(name) === foldName(field.name))) continue
    same = false
    fields.push({ ...field, nullable: true })
  }
  return same ? whole : { kind: 'struct', fields }
}
