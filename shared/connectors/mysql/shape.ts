import * as z from 'zod'
import { dataTypeOf, listOf } from './column-type.ts'
import type { Relation } from './discover.ts'

/** A table's columns, in order, as they are at one place of the log: what its rows are read with. */
export type Shape = readonly ShapeColumn[]

export interface ShapeColumn {
  name: string
  /** COLUMN_TYPE; empty for a column of which nothing more is known or wanted, such as one that was dropped since. */
  type: string
  /** Null for what is not text. */
  charset: string | null
  json: boolean
}

export const shape = z.array(
  z.strictObject({ name: z.string(), type: z.string(), charset: z.string().nullable(), json: z.boolean() }),
)

export const shapeOf = (relation: Relation): Shape =>
  relation.attributes.map(({ name, columnType, charset, isJson }) => ({
    name,
    type: columnType,
    charset,
    json: isJson,
  }))

export const sameShape = (a: Shape, b: Shape): boolean => JSON.stringify(a) === JSON.stringify(b)

const integers = ['tinyint', 'smallint', 'mediumint', 'int', 'bigint']
const texts = ['tinytext', 'text', 'mediumtext', 'longtext']

/** True when a change from one type to the other leaves every value what it was. */
export function isWider(from: ShapeColumn, to: ShapeColumn): boolean {
  if (from.type === to.type && from.charset === to.charset) return true
  if (from.charset !== to.charset || from.json !== to.json) return false
  const [a, b] = [dataTypeOf(from.type), dataTypeOf(to.type)]
  const numbers = (type: string) => (/\(([\d,]+)\)/.exec(type)?.[1] ?? '').split(',').map(Number)
  const [size = 0, scale = 0] = numbers(from.type)
  const [newSize = 0, newScale = 0] = numbers(to.type)
  const unsigned = (type: string) => /\bunsigned\b/.test(type)
  if (integers.includes(a) && integers.includes(b))
    return unsigned(from.type) === unsigned(to.type) && integers.indexOf(b) >= integers.indexOf(a)
  if (a === 'varchar' && b === 'varchar') return newSize >= size
  if (a === 'decimal' && b === 'decimal')
    return unsigned(from.type) === unsigned(to.type) && scale === newScale && newSize >= size
  if (texts.includes(b) && (a === 'varchar' || texts.includes(a))) return texts.indexOf(b) >= texts.indexOf(a)
  if ((a === 'datetime' || a === 'timestamp') && a === b) return newSize >= size
  if ((a === 'enum' || a === 'set') && a === b) {
    const [old, now] = [listOf(from.type), listOf(to.type)]
    return old.every((name, index) => now[index] === name)
  }
  return false
}
