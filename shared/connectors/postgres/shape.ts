import type { Relation } from './discover.ts'
import type { PgAttribute } from './types.ts'

/** A table's columns as a cursor remembers them: number, name, type and, since that is kept, the type's modifier. */
export type Shape = [number: number, name: string, type: number, typmod?: number | undefined][]

export const shapeOf = (relation: Relation): Shape =>
  relation.attributes.map(({ number, name, typeOid, typmod }) => [number, name, typeOid, typmod])

/** int2, int4, int8, and varchar, bpchar, text: a change from left to right leaves every value what it was. */
const wider: readonly (readonly number[])[] = [
  [21, 23, 20],
  [1043, 25],
  [700, 701],
]

/**
 * Why the rows that were copied before no longer say what the source says, although no change of a row is in the log;
 * undefined when they do. Rewriting a column as another type and filling a new one are such cases, and so is a name that
 * stands for two columns in the log: `numbersOf`.
 */
export function rewritten(before: Shape, attributes: readonly PgAttribute[]): string | undefined {
  const known = new Map(before.map(([number, name, type, typmod]) => [number, { name, type, typmod }]))
  for (const { number, name, typeOid, typmod, filled, generated } of attributes) {
    const old = known.get(number)
    if (!old && filled) return `the column ${name} was added with a value for the rows that were there`
    if (!old && generated !== '') return `the generated column ${name} was added`
    if (old && old.type !== typeOid && !isWider(old.type, typeOid)) return `the type of the column ${name} was changed`
    if (old?.type === typeOid && old.typmod !== undefined && loses(typeOid, old.typmod, typmod))
      return `the column ${name} holds less of its values than before`
  }
  const twice = attributes.find(({ name, number }) => before.some(([old, known]) => known === name && old !== number))
  return twice && `the column ${twice.name} has the name that another one had`
}

/**
 * The number of each column by the names it has in the log: the one of now and the one of before. A name of the log that
 * is not among them was given to a column in between.
 */
export function numbersOf(before: Shape, attributes: readonly PgAttribute[]): ReadonlyMap<string, number> {
  return new Map([
    ...before.map(([number, name]) => [name, number] as const),
    ...attributes.map(({ name, number }) => [name, number] as const),
  ])
}

/** Another modifier of the same type may round or cut what is stored; -1 is none. See `mapNumeric` for that of numeric. */
function loses(type: number, before: number, now: number): boolean {
  const scale = (typmod: number) => (((typmod - 4) & 0x7ff) ^ 1024) - 1024
  const seconds = (typmod: number) => (typmod === -1 ? 6 : typmod)
  if (before === now) return false
  switch (type) {
    case 1043:
      return now !== -1 && (before === -1 || now < before)
    case 1700:
      return now !== -1 && (before === -1 || scale(now) < scale(before))
    case 1083:
    case 1114:
    case 1184:
    case 1266:
      return seconds(now) < seconds(before)
    default:
      // char(n) is padded anew; of others it is not known.
      return true
  }
}

function isWider(from: number, to: number): boolean {
  return wider.some((line) => line.includes(from) && line.indexOf(to) > line.indexOf(from))
}
