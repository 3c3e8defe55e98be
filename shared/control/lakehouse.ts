import { IngestError } from '../core/errors.ts'
import { didYouMean } from '../pipeline/nearest.ts'
import { type TableName, tableNameText } from '../pipeline/table-name.ts'
import type { Storage } from '../storage/storage.ts'

/** Every table of the lakehouse or of one catalog, by name. Costs one listing for each table, however many files it has. */
export async function listTables(storage: Storage, catalog?: string): Promise<TableName[]> {
  const within = catalog === undefined ? '' : `${catalog}/`
  const tables: TableName[] = []
  let after: string | undefined = ''
  while (after !== undefined) {
    const root: string | undefined = await nextRoot(storage, within, after)
    if (root !== undefined && (await hasObjects(storage, `${root}/_delta_log/`))) {
      const [inCatalog, schema, table] = root.split('/').map(nameOfFolder) as [string, string, string]
      tables.push({ catalog: inCatalog, schema, table })
    }
    // The sign after a slash: past everything below this root.
    after = root && `${root}0`
  }
  return tables
}

/** The inverse of how `tableRoot` writes a name. */
const nameOfFolder = (folder: string) => folder.replace(/%(2E|2F|25)/g, (code) => decodeURIComponent(code))

/** The first `catalog/schema/table` with an object in it, after a path. */
async function nextRoot(storage: Storage, within: string, after: string): Promise<string | undefined> {
  for await (const { path } of storage.list(within, after)) {
    const parts = path.split('/')
    if (parts.length > 3 && !/^[._]/.test(path)) return parts.slice(0, 3).join('/')
  }
  return undefined
}

export async function hasObjects(storage: Storage, prefix: string): Promise<boolean> {
  for await (const _ of storage.list(prefix)) return true
  return false
}

/**
 * The table a person means by `main.shop.orders`, `shop.orders` (in catalog main) or `orders` (when only one has the
 * name). Letter case does not matter when it decides nothing.
 *
 * @throws IngestError `table.missing` (fix) with the nearest name, or those it could be
 */
export async function findTable(storage: Storage, text: string): Promise<TableName> {
  const parts = text.split('.')
  const tables = await listTables(storage)
  const found = tablesNamed(tables, parts)
  if (found.length === 1) return found[0]!
  const names = tables.map(tableNameText)
  if (found.length > 1)
    throw new IngestError('table.missing', `${text} could be ${found.map(tableNameText).join(' or ')}`)
  const full = parts.length === 2 ? `main.${text}` : text
  const hint =
    didYouMean(full, names) ||
    (names.length > 0 ? `; there are ${names.slice(0, 20).join(', ')}` : '; the lakehouse is empty')
  throw new IngestError('table.missing', `there is no table ${text}${hint}`)
}

/** The tables these one to three words can mean. */
export function tablesNamed(tables: readonly TableName[], parts: readonly string[]): TableName[] {
  const wanted = parts.length === 2 ? ['main', ...parts] : parts
  const matches = (same: (a: string, b: string) => boolean) =>
    tables.filter(({ catalog, schema, table }) =>
      wanted.length === 1
        ? same(table, wanted[0]!)
        : same(catalog, wanted[0]!) && same(schema, wanted[1]!) && same(table, wanted[2] ?? ''),
    )
  const exact = matches((a, b) => a === b)
  return exact.length > 0 ? exact : matches((a, b) => a.toLowerCase() === b.toLowerCase())
}
