import { quoted } from '../load/sql.ts'
import type { LogicalType } from '../schema/types.ts'

/**
 * One text for each value, whoever holds it: what two sides must agree on to be equal. Scalars are text (`12`, `1.50`,
 * days, microseconds, lower-case hexadecimal), floats are what JavaScript prints, null is null, and nested values are
 * JSON of these. Two implementations that share nothing: one of what sources hand over, one in SQL over the table.
 */
export type Canonical = string | number | null | Canonical[] | { [name: string]: Canonical }

/** A cell of a COPY block, or a JavaScript value of a row, by its column's type. */
export function canonicalOf(value: unknown, type: LogicalType): Canonical {
  if (value === null || value === undefined) return null
  switch (type.kind) {
    case 'boolean':
      return String(value === true || value === 't' || value === 'true')
    case 'byte':
    case 'short':
    case 'integer':
    case 'long':
      return String(BigInt(value as string | number | bigint))
    case 'float':
      return numberText(Math.fround(Number(value)))
    case 'double':
      return numberText(Number(value))
    case 'decimal':
      return decimalText(String(value), type.scale)
    case 'binary':
      return binaryText(value as string | Uint8Array)
    case 'date':
      return String(BigInt(micros(value, '')) / DAY)
    case 'timestamp':
    case 'timestamp_ntz':
      return micros(value, 'Z')
    case 'variant':
      return typeof value === 'string' ? value : JSON.stringify(value)
    case 'array':
      return (exactJson(value) as unknown[]).map((element) => canonicalOf(element, type.element))
    case 'map': {
      const parsed = exactJson(value)
      const entries = parsed instanceof Map ? [...parsed] : Object.entries(parsed as object)
      const pairs = entries.map(([key, inner]) => [canonicalOf(key, type.key), canonicalOf(inner, type.value)])
      return pairs.sort(([a], [b]) => (String(a) < String(b) ? -1 : 1)) as Canonical
    }
    case 'struct': {
      const parsed = exactJson(value) as Record<string, unknown>
      return Object.fromEntries(type.fields.map(({ name, type: inner }) => [name, canonicalOf(parsed[name], inner)]))
    }
    default:
      return String(value)
  }
}

/** The SQL of a table's value whose JSON is canonical, except that floats are still numbers. */
export function canonicalSql(sql: string, type: LogicalType): string {
  switch (type.kind) {
    case 'float':
    case 'double':
      return `(${sql})::varchar`
    case 'binary':
      return `lower(hex(${sql}))`
    case 'date':
      return `(${sql} - date '1970-01-01')::varchar`
    case 'timestamp':
    case 'timestamp_ntz':
      return `epoch_us(${sql})::varchar`
    case 'array':
      return `list_transform(${sql}, lambda e: ${canonicalSql('e', type.element)})`
    case 'map': {
      const pair = `[to_json(${canonicalSql('e.key', type.key)}), to_json(${canonicalSql('e.value', type.value)})]`
      return `list_sort(list_transform(map_entries(${sql}), lambda e: ${pair}))`
    }
    case 'struct': {
      const fields = type.fields.map(
        ({ name, type: inner }) => `${quoted(name)} := ${canonicalSql(`${sql}.${quoted(name)}`, inner)}`,
      )
      return `case when ${sql} is null then null else struct_pack(${fields.join(', ')}) end`
    }
    default:
      return `(${sql})::varchar`
  }
}

/** Floats of the SQL side as JavaScript prints them. */
export function canonicalFromSql(value: unknown, type: LogicalType): Canonical {
  if (value === null || value === undefined) return null
  if (type.kind === 'float') return numberText(Math.fround(sqlNumber(String(value))))
  if (type.kind === 'double') return numberText(sqlNumber(String(value)))
  if (type.kind === 'array') return (value as unknown[]).map((element) => canonicalFromSql(element, type.element))
  if (type.kind === 'map')
    return (value as [unknown, unknown][]).map(([key, inner]) => [
      canonicalFromSql(key, type.key),
      canonicalFromSql(inner, type.value),
    ])
  if (type.kind === 'struct')
    return Object.fromEntries(
      type.fields.map(({ name, type: inner }) => [
        name,
        canonicalFromSql((value as Record<string, unknown>)[name], inner),
      ]),
    )
  return value as Canonical
}

/** In microseconds. */
const DAY = 86_400_000_000n

const sqlNumber = (text: string) => Number(text.replace(/^(-?)inf(inity)?$/i, '$1Infinity').replace(/^-?nan$/i, 'NaN'))

const numberText = (value: number) => (Object.is(value, -0) ? '-0' : String(value))

/** Exactly `scale` digits behind the point, and no other zeros in front or behind. */
function decimalText(text: string, scale: number): string {
  const [, sign, whole, fraction = '', exponent] = /^([-+]?)(\d*)\.?(\d*)(?:[eE]([-+]?\d+))?$/.exec(text) ?? []
  if (whole === undefined) return text
  const shift = Number(exponent ?? 0)
  const digits = whole + fraction
  const point = whole.length + shift
  const padded = point < 0 ? '0'.repeat(-point) + digits : digits.padEnd(point, '0')
  const at = Math.max(point, 0)
  const unscaled = BigInt(padded.slice(0, at) + padded.slice(at).padEnd(scale, '0').slice(0, scale) || '0')
  const plain = String(unscaled).padStart(scale + 1, '0')
  const body = scale === 0 ? plain : `${plain.slice(0, -scale)}.${plain.slice(-scale)}`
  return sign === '-' && unscaled !== 0n ? `-${body}` : body
}

function binaryText(value: string | Uint8Array): string {
  if (typeof value !== 'string') return Buffer.from(value).toString('hex')
  return value.startsWith('\\x') ? value.slice(2).toLowerCase() : Buffer.from(value, 'base64').toString('hex')
}

/** Microseconds since the epoch of `2026-01-31 10:00:00.123456+02`, `0044-03-15 BC` and the like. */
function micros(value: unknown, zone: string): string {
  if (value instanceof Date) return String(BigInt(value.getTime()) * 1000n)
  if (typeof value === 'bigint') return String(value)
  const found =
    /^(\d+)-(\d\d)-(\d\d)(?:[ T](\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?)?\s*(Z|[-+]\d\d(?::?\d\d)?(?::?\d\d)?)?( BC)?$/.exec(
      String(value),
    )
  if (!found) return String(value)
  const [, y, mo, d, h = 0, mi = 0, s = 0, fraction = '', offset = zone, bc] = found
  // A calendar repeats after 400 years of 146,097 days; dates of JavaScript end in the year 275760, those of databases later.
  const year = bc ? 1 - Number(y) : Number(y)
  const cycles = Math.floor(year / 400) - 5
  const ms = Date.UTC(year - cycles * 400, Number(mo) - 1, Number(d), Number(h), Number(mi), Number(s))
  const [, sign, oh = 0, om = 0, os = 0] = /^([-+])(\d\d):?(\d\d)?:?(\d\d)?$/.exec(offset) ?? []
  const offsetMs = (Number(oh) * 3600 + Number(om) * 60 + Number(os)) * 1000 * (sign === '-' ? -1 : 1)
  const days = BigInt(cycles) * 146_097n
  return String(days * DAY + BigInt(ms - offsetMs) * 1000n + BigInt(fraction.padEnd(6, '0').slice(0, 6)))
}

/** JSON whose numbers keep every digit. */
export function exactJson(value: unknown): unknown {
  if (typeof value !== 'string') return value
  const keep = (_key: string, parsed: unknown, context?: { source?: string }) =>
    typeof parsed === 'number' && context?.source !== undefined ? context.source : parsed
  return JSON.parse(value, keep as (key: string, value: unknown) => unknown)
}
