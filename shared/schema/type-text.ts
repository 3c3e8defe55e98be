import { IngestError } from '../core/errors.ts'
import { type Field, type LogicalType, type PrimitiveKind, primitiveKinds } from './types.ts'

const primitives: ReadonlySet<string> = new Set(primitiveKinds)

/**
 * A type as people read and write it, in Delta's own words: `long`, `decimal(10,2)`, `array<string>`,
 * `map<string,long>`, `struct<a:long,b:string>`. A name with other characters than letters, digits and `_` is
 * in backquotes, doubled inside. Nullability is not part of the text.
 */
export function typeText(type: LogicalType): string {
  switch (type.kind) {
    case 'decimal':
      return `decimal(${type.precision},${type.scale})`
    case 'array':
      return `array<${typeText(type.element)}>`
    case 'map':
      return `map<${typeText(type.key)},${typeText(type.value)}>`
    case 'struct':
      return `struct<${type.fields.map((field) => `${quoteName(field.name)}:${typeText(field.type)}`).join(',')}>`
    default:
      return type.kind
  }
}

/**
 * The inverse of `typeText`; everything nested is nullable. Also takes SQL's `int`, `bigint`, `smallint`, `tinyint`
 * and `real`.
 * @throws IngestError `config.invalid` (fix) when the text is no type
 */
export function parseTypeText(text: string): LogicalType {
  const reader = new TypeReader(text)
  const type = reader.type()
  reader.end()
  return type
}

/** The type of that name, or undefined: `long`, `decimal(10,2)`. */
export function primitiveType(name: string): LogicalType | undefined {
  if (primitives.has(name)) return { kind: name as PrimitiveKind }
  const decimal = /^decimal\(\s*(\d+)\s*,\s*(-?\d+)\s*\)$/.exec(name)
  if (!decimal) return undefined
  const [precision, scale] = [Number(decimal[1]), Number(decimal[2])]
  return precision >= 1 && precision <= 38 && scale >= 0 && scale <= precision
    ? { kind: 'decimal', precision, scale }
    : undefined
}

const sqlNames: Readonly<Record<string, PrimitiveKind>> = {
  int: 'integer',
  bigint: 'long',
  smallint: 'short',
  tinyint: 'byte',
  real: 'float',
}

const quoteName = (name: string) => (/^\w+$/.test(name) ? name : `\`${name.replaceAll('`', '``')}\``)

class TypeReader {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  type(): LogicalType {
    const word = this.#match(/\s*([a-z_]+)\s*/iy)?.[1]?.toLowerCase()
    if (word === 'array') {
      this.#expect('<')
      const element = this.type()
      this.#expect('>')
      return { kind: 'array', element, containsNull: true }
    }
    if (word === 'map') {
      this.#expect('<')
      const key = this.type()
      this.#expect(',')
      const value = this.type()
      this.#expect('>')
      return { kind: 'map', key, value, valueContainsNull: true }
    }
    if (word === 'struct') return { kind: 'struct', fields: this.#fields() }
    const parameters = this.#match(/\([^)]*\)\s*/y)?.[0].trim() ?? ''
    const type = primitiveType((sqlNames[word ?? ''] ?? word ?? '') + parameters)
    return type ?? this.#fail()
  }

  end() {
    if (this.#at !== this.#text.length) this.#fail()
  }

  #fields(): Field[] {
    this.#expect('<')
    const fields: Field[] = []
    do {
      const name = this.#match(/\s*(?:`((?:[^`]|``)*)`|(\w+))\s*:/y)
      if (!name) return this.#fail()
      fields.push({ name: name[1]?.replaceAll('``', '`') ?? name[2]!, type: this.type(), nullable: true })
    } while (this.#match(/\s*,/y))
    this.#expect('>')
    return fields
  }

  #match(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.#at
    const found = pattern.exec(this.#text)
    if (found) this.#at = pattern.lastIndex
    return found ?? undefined
  }

  #expect(sign: string) {
    if (!this.#match(new RegExp(`\\s*${sign}\\s*`, 'y'))) this.#fail()
  }

  #fail(): never {
    throw new IngestError(
      'config.invalid',
      `"${this.#text}" is not a column type; write for example long, decimal(10,2), array<string> or struct<a:long,b:string>`,
    )
  }
}
