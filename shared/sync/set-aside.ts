import type { Row } from '../core/change.ts'
import { type QuarantinedRow, readQuarantine } from '../load/read-quarantine.ts'
import type { TableName } from '../pipeline/table-name.ts'
import type { Field } from '../schema/types.ts'
import { canonicalOf, exactJson } from './canonical.ts'
import { keyText } from './compare.ts'
import { unescaped } from './compare-rows.ts'

/**
 * The keys of the rows in a table's quarantine, as `differentKeys` names them. Rows of CSV, and those whose text cannot be
 * read any more, are not among them.
 */
export async function keysSetAside(
  table: TableName,
  fields: readonly Field[],
  key: readonly string[],
  ports: Parameters<typeof readQuarantine>[1],
): Promise<ReadonlySet<string>> {
  const keyFields = fields.filter(({ name }) => key.includes(name))
  const keys = new Set<string>()
  for (const row of await readQuarantine(table, ports)) {
    const cells = cellsOf(row)
    if (!cells || keyFields.some(({ name }) => cells[name] == null)) continue
    keys.add(keyText(keyFields.map(({ name, type }) => canonicalOf(cells[name], type))))
  }
  return keys
}

function cellsOf({ form, row, columns }: QuarantinedRow): Row | undefined {
  if (form === 'csv') return undefined
  if (form === 'copy') {
    const cells = row.split('\t').map(unescaped)
    return Object.fromEntries(columns.map((name, at) => [name, cells[at] ?? null]))
  }
  try {
    return exactJson(row) as Row
  } catch {
    return undefined
  }
}
