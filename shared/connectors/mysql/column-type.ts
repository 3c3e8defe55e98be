/** What a column's COLUMN_TYPE begins with: `bigint` of `bigint(20) unsigned`. */
export const dataTypeOf = (columnType: string): string => /^[a-z0-9]+/.exec(columnType)?.[0] ?? ''

/** The names in `enum('a','it''s')`, as information_schema writes them. */
export function listOf(columnType: string): string[] {
  const plain: Record<string, string> = { n: '\n', r: '\r', t: '\t', '0': '\0', Z: '\x1a' }
  return [...columnType.slice(columnType.indexOf('(')).matchAll(/'((?:[^'\\]|''|\\.)*)'/gs)].map(([, name]) =>
    name!.replace(/''|\\(.)/gs, (_, letter: string | undefined) =>
      letter === undefined ? "'" : (plain[letter] ?? letter),
    ),
  )
}
