import { physicalName } from '../delta/column-mapping.ts'
import type { Field, LogicalType } from '../schema/types.ts'
import { DELETED } from './changes.ts'
import { quoted, sqlType } from './sql.ts'

/** The sequence columns as one comparable value, left to right; null when one of them is null, or there are none. */
export function sequenceOf(sequence: readonly Field[]): string {
  const names = sequence.map((field) => quoted(physicalName(field)))
  if (names.length === 0) return 'null'
  const parts = names.map((name, at) => `s${at}: ${name}`).join(', ')
  return `case when ${names.map((name) => `${name} is not null`).join(' and ')} then { ${parts} } end`
}

/** The SQL type of `sequenceOf`. */
export const sequenceType = (sequence: readonly Field[]): string =>
  sequence.length === 0
    ? 'INTEGER'
    : `STRUCT(${sequence.map((field, at) => `s${at} ${sqlType(field.type)}`).join(', ')})`

/** True for a change that can be placed: its key is whole, and so is its sequence, unless it is a delete. */
export function placeable(keys: readonly Field[], sequence: readonly Field[]): string {
  const whole = keys.map((key) => `${quoted(physicalName(key))} is not null`)
  if (sequence.length > 0) whole.push(`(${sequenceOf(sequence)} is not null or coalesce(${DELETED}, false))`)
  return whole.join(' and ')
}

/** A value of the leading sequence column right after `value`, or `now` (microseconds) where that is a time and later. */
export function rightAfter(value: string, type: LogicalType, now: bigint): string {
  switch (type.kind) {
    case 'timestamp':
      return `greatest(make_timestamptz(${now}), ${value} + interval 1 microsecond)`
    case 'timestamp_ntz':
      return `greatest(make_timestamp(${now}), ${value} + interval 1 microsecond)`
    case 'date':
      return `greatest(make_timestamp(${now})::date, ${value} + 1)`
    case 'string':
    case 'variant':
      return `${value} || '!'`
    default:
      return `(${value} + 1)::${sqlType(type)}`
  }
}
