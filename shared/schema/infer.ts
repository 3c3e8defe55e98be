import { foldName } from './names.ts'
import type { Field, LogicalType, Schema } from './types.ts'

/**
 * The schema of sample records. A sample is evidence, so the types are wide and every field is nullable:
 *
 * * whole numbers are `long`, beyond 64 bits `decimal(38,0)`; larger and other numbers are `double`, also beside whole ones;
 * * text is `string`; with `dates`, RFC 3339 text with a zone is `timestamp`, `YYYY-MM-DD` is `date`, both together are
 *   `timestamp`, and beside other text they are `string`;
 * * objects merge field by field, arrays element by element; an empty object or array, and values without a common
 *   type, are `variant`; a field that is only ever null is `string`.
 *
 * Fields come in the order in which they are first seen. Merging is associative and, but for that order, commutative.
 */
export function inferSchema(samples: Iterable<unknown>, { dates = false } = {}): Schema {
  let seen: Shape = nothing
  for (const sample of samples) if (isObject(sample)) seen = merge(seen, shapeOf(sample, dates))
  return { fields: seen.kind === 'object' ? fieldsOf(seen) : [] }
}

/** The records of NDJSON or of JSON arrays of objects; lines that are no JSON are passed over. */
export function* sampleRecords(bytes: Uint8Array, limit = 1000): Iterable<unknown> {
  const text = new TextDecoder().decode(bytes)
  let count = 0
  const whole = parse(text)
  for (const line of whole === undefined ? text.split('\n') : [text]) {
    const value = whole ?? parse(line)
    for (const record of Array.isArray(value) ? value : [value]) {
      if (!isObject(record)) continue
      if (count++ === limit) return
      yield record
    }
  }
}

/** Integers that a double cannot hold stay exact: as bigint. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text, (_, value, context?: { source: string }) =>
      typeof value === 'number' && !Number.isSafeInteger(value) && /^-?\d+$/.test(context?.source ?? '')
        ? BigInt(context!.source)
        : value,
    )
  } catch {
    return undefined
  }
}

type Shape =
  | { kind: 'nothing' | 'boolean' | 'long' | 'wide' | 'double' | 'date' | 'timestamp' | 'string' | 'any' }
  | { kind: 'object'; fields: ReadonlyMap<string, Shape> }
  | { kind: 'list'; element: Shape }

const nothing: Shape = { kind: 'nothing' }
/** The integers of `decimal(38,0)` lie between its negative and it. */
const LIMIT = 10n ** 38n
const numbers = ['long', 'wide', 'double']
const times = ['date', 'timestamp']

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

function shapeOf(value: unknown, dates: boolean): Shape {
  if (value === null || value === undefined) return nothing
  if (Array.isArray(value))
    return { kind: 'list', element: value.map((inner) => shapeOf(inner, dates)).reduce(merge, nothing) }
  if (typeof value === 'boolean') return { kind: 'boolean' }
  if (typeof value === 'number') return { kind: Number.isSafeInteger(value) ? 'long' : 'double' }
  if (typeof value === 'bigint') {
    if (BigInt.asIntN(64, value) === value) return { kind: 'long' }
    return { kind: value < LIMIT && value > -LIMIT ? 'wide' : 'double' }
  }
  if (typeof value === 'string') return { kind: dates ? textKind(value) : 'string' }
  if (value instanceof Date) return { kind: 'timestamp' }
  if (!isObject(value)) return { kind: 'any' }
  return {
    kind: 'object',
    fields: new Map(Object.entries(value).map(([name, inner]) => [name, shapeOf(inner, dates)])),
  }
}

function textKind(text: string): 'date' | 'timestamp' | 'string' {
  const match = /^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}:\d{2}(\.\d{1,9})?(Z|[+-]\d{2}:?\d{2}))?$/.exec(text)
  if (!match || Number.isNaN(Date.parse(text.replace(' ', 'T')))) return 'string'
  return match[1] ? 'timestamp' : 'date'
}

function merge(a: Shape, b: Shape): Shape {
  if (a.kind === 'nothing') return b
  if (b.kind === 'nothing') return a
  if (a.kind === 'object' && b.kind === 'object') {
    const fields = new Map(a.fields)
    for (const [name, shape] of b.fields) fields.set(name, merge(fields.get(name) ?? nothing, shape))
    return { kind: 'object', fields }
  }
  if (a.kind === 'list' && b.kind === 'list') return { kind: 'list', element: merge(a.element, b.element) }
  if (a.kind === b.kind) return a
  const both = [a.kind, b.kind]
  if (both.every((kind) => numbers.includes(kind))) return { kind: both.includes('double') ? 'double' : 'wide' }
  if (both.every((kind) => times.includes(kind))) return { kind: 'timestamp' }
  return { kind: both.every((kind) => kind === 'string' || times.includes(kind)) ? 'string' : 'any' }
}

function fieldsOf(shape: Shape & { kind: 'object' }): Field[] {
  const names = new Set<string>()
  const fields: Field[] = []
  for (const [name, inner] of shape.fields) {
    // Column names are unique ignoring case: of two that differ in case only, the first is the column.
    if (names.has(foldName(name))) continue
    names.add(foldName(name))
    fields.push({ name, type: typeOf(inner), nullable: true })
  }
  return fields
}

function typeOf(shape: Shape): LogicalType {
  switch (shape.kind) {
    case 'object':
      return shape.fields.size === 0 ? { kind: 'variant' } : { kind: 'struct', fields: fieldsOf(shape) }
    case 'list':
      if (shape.element.kind === 'nothing') return { kind: 'variant' }
      return { kind: 'array', element: typeOf(shape.element), containsNull: true }
    case 'nothing':
      return { kind: 'string' }
    case 'wide':
      return { kind: 'decimal', precision: 38, scale: 0 }
    case 'any':
      return { kind: 'variant' }
    default:
      return { kind: shape.kind }
  }
}
