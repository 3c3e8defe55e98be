import type { SqlColumn, SqlDialect } from './dialect.ts'

/** Texts of the values of some columns, in their order: a place in an order of rows that survives JSON. */
export type Place = readonly string[]

/**
 * The condition "these columns, compared one after the other, are `>` (or `<=`...) this place". Rows with a NULL in one
 * of the columns are outside every such order: the caller excludes and reports them.
 */
export function comparePlace(
  columns: readonly SqlColumn[],
  operator: '>' | '>=' | '<' | '<=',
  place: Place,
  dialect: SqlDialect,
): string {
  const names = columns.map((column) => dialect.identifier(column.name))
  const values = columns.map((column, index) => dialect.value(place[index]!, column))
  if (columns.length === 1) return `${names[0]} ${operator} ${values[0]}`
  if (dialect.rowComparison) return `(${names.join(', ')}) ${operator} (${values.join(', ')})`

  // (a, b, c) > (x, y, z)  is  a > x or (a = x and (b > y or (b = y and c > z)))
  const strict = operator[0] as '>' | '<'
  let condition = `${names.at(-1)} ${operator} ${values.at(-1)}`
  for (let index = names.length - 2; index >= 0; index--)
    condition = `(${names[index]} ${strict} ${values[index]} or (${names[index]} = ${values[index]} and ${condition}))`
  return condition
}

/** Rows with `after` < place <= `upto`; an end that is undefined is open. An empty list means every row. */
export function betweenPlaces(
  columns: readonly SqlColumn[],
  after: Place | undefined,
  upto: Place | undefined,
  dialect: SqlDialect,
): string[] {
  const conditions: string[] = []
  if (after) conditions.push(comparePlace(columns, '>', after, dialect))
  if (upto) conditions.push(comparePlace(columns, '<=', upto, dialect))
  return conditions
}
