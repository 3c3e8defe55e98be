import type { Row } from '../core/change.ts'
import { JsonText } from '../core/json.ts'
import type { Field, LogicalType } from '../schema/types.ts'
import type { BatchOptions } from './batch-writer.ts'

/**
 * Rows as the NDJSON that the kernel reads, so that objects and bytes pass the same checks. JavaScript values of each
 * type: boolean; number or bigint for integers, floats and decimals, or their text; string; Uint8Array (or text) for
 * binary; Date, text or bigint microseconds for timestamps; `YYYY-MM-DD` or bigint days for dates; arrays; plain
 * objects for structs; Map or plain object for maps; any JSON value, or JsonText, for variant. `undefined` is null. A value of
 * another kind is written as something its column refuses, so that the row is rejected and not the batch.
 */
export function rowText(rows: readonly Row[], fields: readonly Field[], options: BatchOptions): Buffer {
  const binary = options.binary ?? 'base64'
  const known = new Map(fields.map((field) => [field.name, field.type]))
  const keepUnknown = (options.unknownFields ?? 'ignore') !== 'ignore'
  let text = ''
  for (const row of rows) text += `${objectText(row, known, keepUnknown, binary)}\n`
  return Buffer.from(text)
}

type Binary = 'base64' | 'hex'

const structs = new WeakMap<LogicalType, Map<string, LogicalType>>()

function fieldsOf(type: LogicalType & { kind: 'struct' }): Map<string, LogicalType> {
  let fields = structs.get(type)
  if (!fields) {
    fields = new Map(type.fields.map((field) => [field.name, field.type]))
    structs.set(type, fields)
  }
  return fields
}

function objectText(value: object, fields: Map<string, LogicalType>, keepUnknown: boolean, binary: Binary): string {
  let text = ''
  for (const [name, inner] of Object.entries(value)) {
    if (inner === undefined) continue
    const type = fields.get(name)
    if (type === undefined && !keepUnknown) continue
    const piece = type === undefined ? anyText(inner) : valueText(inner, type, keepUnknown, binary)
    text += `${text === '' ? '{' : ','}${JSON.stringify(name)}:${piece}`
  }
  return text === '' ? '{}' : `${text}}`
}

function valueText(value: unknown, type: LogicalType, keepUnknown: boolean, binary: Binary): string {
  if (value === null || value === undefined) return 'null'
  const { kind } = type
  if (kind === 'variant') return anyText(value)
  if (kind === 'array') {
    if (!Array.isArray(value)) return refused(kind)
    return `[${value.map((element) => valueText(element, type.element, keepUnknown, binary)).join(',')}]`
  }
  if (kind === 'map') {
    if (typeof value !== 'object' || Array.isArray(value)) return refused(kind)
    const entries = value instanceof Map ? [...value] : Object.entries(value)
    return `{${entries
      .map(([key, inner]) => `${keyText(key, type.key, binary)}:${valueText(inner, type.value, keepUnknown, binary)}`)
      .join(',')}}`
  }
  if (kind === 'struct') {
    if (typeof value !== 'object' || Array.isArray(value)) return refused(kind)
    return objectText(value, fieldsOf(type), keepUnknown, binary)
  }
  switch (typeof value) {
    case 'string':
      return JSON.stringify(value)
    case 'number':
      return Number.isFinite(value) ? numberText(value) : `"${value}"`
    case 'boolean':
      return String(value)
    case 'bigint':
      return bigintText(value, kind)
    case 'object':
      if (value instanceof Date) return dateText(value, kind)
      if (value instanceof Uint8Array && kind === 'binary') {
        return `"${Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString(binary)}"`
      }
  }
  return refused(kind)
}

/** JSON has no -0 in JavaScript's own writer, but its grammar does. */
function numberText(value: number): string {
  return Object.is(value, -0) ? '-0.0' : String(value)
}

function keyText(key: unknown, type: LogicalType, binary: Binary): string {
  const text = valueText(key, type, false, binary)
  return text.startsWith('"') ? text : JSON.stringify(text)
}

function bigintText(value: bigint, kind: LogicalType['kind']): string {
  if (kind === 'date') return `"${dayText(value)}"`
  if (kind !== 'timestamp' && kind !== 'timestamp_ntz') return value.toString()
  const day = 86_400_000_000n
  const days = value / day - (value % day < 0n ? 1n : 0n)
  const micros = value - days * day
  const seconds = Number(micros / 1_000_000n)
  const two = (n: number) => String(Math.floor(n)).padStart(2, '0')
  const time = `${two(seconds / 3600)}:${two((seconds / 60) % 60)}:${two(seconds % 60)}`
  return `"${dayText(days)}T${time}.${String(micros % 1_000_000n).padStart(6, '0')}"`
}

function dayText(days: bigint): string {
  const limit = 100_000_000n
  // Date ends at these days; the text is then refused as no date of the type.
  if (days > limit || days < -limit) return '999999-99-99'
  return new Date(Number(days) * 86_400_000).toISOString().replace(/T.*/, '')
}

function dateText(value: Date, kind: LogicalType['kind']): string {
  if (Number.isNaN(value.getTime())) return refused(kind)
  const text = value.toISOString()
  if (kind === 'date') return `"${text.replace(/T.*/, '')}"`
  return `"${kind === 'timestamp_ntz' ? text.slice(0, -1) : text}"`
}

/** Any JSON value; bigint as its digits, bytes as base64. */
function anyText(value: unknown): string {
  if (value instanceof JsonText) return value.text
  const text = JSON.stringify(value, (_, inner) => {
    if (typeof inner === 'bigint') return JSON.rawJSON(inner.toString())
    if (inner instanceof Map) return Object.fromEntries(inner)
    return inner instanceof Uint8Array ? Buffer.from(inner).toString('base64') : inner
  })
  return text ?? 'null'
}

/** A JSON value that no column of this kind takes. */
function refused(kind: LogicalType['kind']): string {
  return kind === 'array' ? '{}' : '[]'
}
