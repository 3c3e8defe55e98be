import type { Field, LogicalType, Schema } from './types.ts'

/**
 * The columns of JSON objects, in the order they are first seen, all nullable. Whole numbers are `long`, others `double`,
 * objects structs, lists arrays. Values of kinds that have no common type, and lists or objects that are always empty, are
 * `variant`; a column that is always null is `string`.
 */
export function inferSchema(rows: readonly unknown[]): Schema {
  const type = rows.filter(isObject).reduce<Seen>((seen, row) => merge(seen, seenOf(row)), { kind: 'null' })
  return { fields: type.kind === 'struct' ? fieldsOf(type) : [] }
}

type Seen =
  | { kind: 'null' | 'boolean' | 'long' | 'double' | 'string' | 'variant' }
  | { kind: 'struct'; fields: Map<string, Seen> }
  | { kind: 'array'; element: Seen }

function seenOf(value: unknown): Seen {
  if (value === null || value === undefined) return { kind: 'null' }
  if (typeof value === 'boolean') return { kind: 'boolean' }
  if (typeof value === 'string') return { kind: 'string' }
  if (typeof value === 'number')
    return { kind: Number.isInteger(value) && Math.abs(value) < 2 ** 63 ? 'long' : 'double' }
  if (Array.isArray(value)) return { kind: 'array', element: value.map(seenOf).reduce(merge, { kind: 'null' }) }
  return { kind: 'struct', fields: new Map(Object.entries(value).map(([name, field]) => [name, seenOf(field)])) }
}

function merge(a: Seen, b: Seen): Seen {
  if (a.kind === 'null') return b
  if (b.kind === 'null') return a
  if (a.kind === 'struct' && b.kind === 'struct') {
    const fields = new Map(a.fields)
    for (const [name, field] of b.fields) fields.set(name, merge(fields.get(name) ?? { kind: 'null' }, field))
    return { kind: 'struct', fields }
  }
  if (a.kind === 'array' && b.kind === 'array') return { kind: 'array', element: merge(a.element, b.element) }
  if (a.kind === b.kind) return a
  const numbers = (a.kind === 'long' || a.kind === 'double') && (b.kind === 'long' || b.kind === 'double')
  return { kind: numbers ? 'double' : 'variant' }
}

function fieldsOf({ fields }: Extract<Seen, { kind: 'struct' }>): Field[] {
  return [...fields].map(([name, seen]) => ({ name, type: typeOf(seen), nullable: true }))
}

function typeOf(seen: Seen): LogicalType {
  switch (seen.kind) {
    case 'null':
      return { kind: 'string' }
    case 'struct':
      return seen.fields.size === 0 ? { kind: 'variant' } : { kind: 'struct', fields: fieldsOf(seen) }
    case 'array':
      return seen.element.kind === 'null'
        ? { kind: 'variant' }
        : { kind: 'array', element: typeOf(seen.element), containsNull: true }
    default:
      return { kind: seen.kind }
  }
}

const isObject = (value: unknown) => typeof value === 'object' && value !== null && !Array.isArray(value)
