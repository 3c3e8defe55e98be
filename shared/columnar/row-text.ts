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
  const columns = columnsOf(fields)
  const keepUnknown = (options.unknownFields ?? 'ignore') !== 'ignore'
  let text = ''
  for (const row of rows) {
    text += isPlainObject(row, columns) ? JSON.stringify(row) : objectText(row, columns, keepUnknown, binary)
    text += '\n'
  }
  return Buffer.from(text)
}

type Binary = 'base64' | 'hex'
type Columns = ReadonlyMap<string, Column>

/** A field's type, and its name as JSON with a colon. */
interface Column {
  type: LogicalType
  key: string
}

const columnsOf = (fields: readonly Field[]): Columns =>
  new Map(fields.map(({ name, type }) => [name, { type, key: `${JSON.stringify(name)}:` }]))

const structs = new WeakMap<LogicalType, Columns>()

function columnsOfStruct(type: LogicalType & { kind: 'struct' }): Columns {
  let columns = structs.get(type)
  if (!columns) {
    columns = columnsOf(type.fields)
    structs.set(type, columns)
  }
  return columns
}

/** Whether `JSON.stringify` writes the object as `objectText` does: in a quarter of the time, and true of most rows. */
function isPlainObject(value: object, columns: Columns): boolean {
  if ('toJSON' in value) return false
  for (const [name, inner] of Object.entries(value)) {
    const column = columns.get(name)
    if (column === undefined || !isPlain(inner, column.type)) return false
  }
  return true
}

function isPlain(value: unknown, type: LogicalType): boolean {
  if (value === null || value === undefined) return true
  if (type.kind === 'struct') {
    return typeof value === 'object' && !Array.isArray(value) && isPlainObject(value, columnsOfStruct(type))
  }
  if (type.kind === 'array') return Array.isArray(value) && value.every((element) => isPlain(element, type.element))
  if (typeof value === 'string') return type.kind !== 'map'
  if (typeof value === 'number') return type.kind !== 'map' && Number.isFinite(value) && !Object.is(value, -0)
  return typeof value === 'boolean' && type.kind !== 'map'
}

function objectText(value: object, columns: Columns, keepUnknown: boolean, binary: Binary): string {
  let text = ''
  for (const [name, inner] of Object.entries(value)) {
    if (inner === undefined) continue
    const column = columns.get(name)
    if (column) text += `${text === '' ? '{' : ','}${column.key}${valueText(inner, column.type, keepUnknown, binary)}`
    else if (keepUnknown) text += `${text === '' ? '{' : ','}${JSON.stringify(name)}:${anyText(inner)}`
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
    return objectText(value, columnsOfStruct(type), keepUnknown, binary)
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
