import type { Row } from '../core/change.ts'
import type { LogicalType } from '../schema/types.ts'
import type { Filter, Literal } from './filter.ts'

/**
 * True when a row passes a filter, with SQL's rule that a comparison with NULL is not true. For changefeeds, which a
 * source does not filter. Texts are compared by code unit.
 */
export function matches(filter: Filter, row: Row, types: ReadonlyMap<string, LogicalType>): boolean {
  return truth(filter, row, types) === true
}

/** SQL's third value is undefined. */
function truth(filter: Filter, row: Row, types: ReadonlyMap<string, LogicalType>): boolean | undefined {
  if ('terms' in filter) {
    const values = filter.terms.map((term) => truth(term, row, types))
    const decisive = filter.op === 'or'
    if (values.includes(decisive)) return decisive
    return values.includes(undefined) ? undefined : !decisive
  }
  const value = row[filter.column] ?? null
  if (filter.op === 'is null') return (value === null) !== filter.negated
  if (value === null) return undefined
  const type = types.get(filter.column) ?? { kind: 'string' }
  switch (filter.op) {
    case 'in': {
      const found = filter.values.some((literal) => compare(value, literal, type) === 0)
      return found !== filter.negated
    }
    case 'like':
      return likePattern(filter.pattern).test(String(value)) !== filter.negated
    default: {
      const order = compare(value, filter.value, type)
      if (filter.op === '=') return order === 0
      if (filter.op === '!=') return order !== 0
      if (filter.op === '<') return order < 0
      if (filter.op === '<=') return order <= 0
      return filter.op === '>' ? order > 0 : order >= 0
    }
  }
}

function compare(value: unknown, literal: Literal, type: LogicalType): number {
  switch (type.kind) {
    case 'boolean':
      return Number(value) - Number(/^(t|true|1|yes|on)$/i.test(literal.text))
    case 'float':
    case 'double':
      return Number(value) - Number(literal.text)
    case 'byte':
    case 'short':
    case 'integer':
    case 'long':
    case 'decimal':
      return compareDecimals(String(value), literal.text)
    case 'date':
    case 'timestamp':
    case 'timestamp_ntz':
      return order(moment(String(value)), moment(literal.text))
    default:
      return order(String(value), literal.text)
  }
}

const order = <T extends string | number | bigint>(a: T, b: T) => (a < b ? -1 : a > b ? 1 : 0)

/** Exact, whatever the number of digits: both sides are scaled to the same power of ten. */
function compareDecimals(a: string, b: string): number {
  if (/e/i.test(a + b)) return Number(a) - Number(b)
  const scale = Math.max(fraction(a), fraction(b))
  const scaled = (text: string) => BigInt(text.replace('.', '').replace('+', '') + '0'.repeat(scale - fraction(text)))
  return order(scaled(a), scaled(b))
}

const fraction = (text: string) => (text.includes('.') ? text.length - text.indexOf('.') - 1 : 0)

/** Microseconds since the epoch; a time without an offset is UTC. */
function moment(text: string): bigint {
  const [, main, digits = '', offset = 'Z'] = /^(.*?)(?:\.(\d+))?(Z|[+-]\d\d(?::?\d\d)?)?$/i.exec(text.trim())!
  const whole = main!.includes(':') ? main!.replace(' ', 'T') : main!
  const zone = offset.length === 3 ? `${offset}:00` : offset
  // A bare date ends in what looks like an offset: "-05" of 2026-01-05.
  const millis = whole.includes('T') ? Date.parse(`${whole}${zone}`) : Date.parse(text.trim().slice(0, 10))
  return BigInt(Number.isNaN(millis) ? 0 : millis) * 1000n + BigInt(`${digits}000000`.slice(0, 6))
}

function likePattern(pattern: string): RegExp {
  const source = pattern.replace(/\\([\s\S])|[\s\S]/g, (letter, escaped: string | undefined) => {
    if (escaped !== undefined) return escaped.replace(/[.*+?^${}()|[\]\\/]/, '\\$&')
    if (letter === '%') return '[\\s\\S]*'
    return letter === '_' ? '[\\s\\S]' : letter.replace(/[.*+?^${}()|[\]\\/]/, '\\$&')
  })
  return new RegExp(`^${source}$`, 'u')
}
