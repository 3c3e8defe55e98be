import { quoted } from './sql.ts'

/** Bits of each column's rank that are mixed: 1,024 slices a column, and six columns fit an integer of 60 bits. */
const BITS = 10
export const MAX_CLUSTERING_COLUMNS = 6

/**
 * A SELECT of the relation's rows, ordered so that each file covers a narrow range of every column: by one column alone,
 * or along a Z-order curve of several, which takes the bits of their ranks in turn. Ranks and not values, so that a skewed
 * or a text column is cut as evenly as any other. A column is its name and the names inside structs after it.
 */
export function clusteredSql(relation: string, columns: readonly (readonly string[])[]): string {
  const names = columns.map((path) => path.map(quoted).join('.'))
  if (names.length <= 1) return `select * from (${relation})${names.length === 0 ? '' : ` order by ${names[0]}`}`
  const slices = names.map((_, index) => `"__slice${index}"`)
  const ranks = names.map(
    (name, index) => `((rank() over (order by ${name}) - 1) * ${1 << BITS}) // count(*) over () as ${slices[index]}`,
  )
  const bits = slices.flatMap((slice, index) =>
    Array.from({ length: BITS }, (_, bit) => `(((${slice} >> ${bit}) & 1) << ${bit * slices.length + index})`),
  )
  return `select * exclude (${slices.join(', ')}) from (select *, ${ranks.join(', ')} from (${relation})) order by ${bits.join(' | ')}`
}
