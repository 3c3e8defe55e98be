import { foldName } from '../schema/names.ts'
import type { Field } from '../schema/types.ts'
import type { Session } from './engine.ts'
import { literal } from './sql.ts'

/** A column of a Parquet file as the engine shows it. */
export interface ParquetNode {
  name: string
  fieldId: number | undefined
  shape: 'leaf' | 'struct' | 'list' | 'map'
  /** Of a struct its fields; of a list its element; of a map key and value. */
  children: readonly ParquetNode[]
  /** The engine's type of a leaf, empty otherwise. Files whose types differ cannot be read by one scan. */
  type: string
  /** The engine takes it, or what is inside of it, for variants, because the file marks them. */
  isVariant?: boolean
}

interface SchemaRow extends Record<string, unknown> {
  file_name: string
  name: string
  repetition_type: string | null
  num_children: bigint | null
  converted_type: string | null
  logical_type: string | null
  field_id: bigint | null
  duckdb_type: string | null
}

/** The columns of each Parquet file, by path. One look at each footer. */
export async function parquetColumns(
  session: Session,
  paths: readonly string[],
): Promise<Map<string, readonly ParquetNode[]>> {
  const rows = (await session.rows(
    `select file_name, name, repetition_type, num_children, converted_type, logical_type, field_id, duckdb_type from parquet_schema([${paths.map(literal).join(', ')}])`,
  )) as SchemaRow[]
  const byFile = new Map<string, SchemaRow[]>()
  for (const row of rows) {
    const file = byFile.get(row.file_name)
    if (file) file.push(row)
    else byFile.set(row.file_name, [row])
  }
  return new Map([...byFile].map(([path, file]) => [path, columnsOf(file)]))
}

/** The columns of a file with those marked that the engine shows as variants. Asked only where a table has variants. */
export async function markVariants(
  session: Session,
  path: string,
  nodes: readonly ParquetNode[],
): Promise<readonly ParquetNode[]> {
  const shown = await session.rows(`describe select * from read_parquet(${literal(path)}, hive_partitioning = false)`)
  const marked = new Set(
    shown
      .filter((row) => /\bVARIANT\b/.test(String(row.column_type).replace(/"[^"]*"/g, '')))
      .map((row) => row.column_name),
  )
  const mark = (node: ParquetNode): ParquetNode => ({ ...node, isVariant: true, children: node.children.map(mark) })
  return nodes.map((node) => (marked.has(node.name) ? mark(node) : node))
}

/**
 * The column of a file that holds a table's field: by id where the table maps columns by id, else by physical name,
 * and ignoring case when no name is the same.
 */
export function findColumn(nodes: readonly ParquetNode[], field: Field, byId: boolean): ParquetNode | undefined {
  if (byId) return nodes.find(({ fieldId }) => fieldId === field.id)
  const name = field.physicalName ?? field.name
  return nodes.find((node) => node.name === name) ?? nodes.find((node) => foldName(node.name) === foldName(name))
}

/** The rows are the schema's elements, each before its children; the first is the root. */
function columnsOf(rows: readonly SchemaRow[]): readonly ParquetNode[] {
  let at = 0
  const read = (inside: SchemaRow | undefined): ParquetNode => {
    const row = rows[at++]!
    const children = Array.from({ length: Number(row.num_children ?? 0) }, () => read(row))
    // The entries of a map may carry its old mark themselves.
    const isEntries = inside && isMap(inside)
    const shape =
      children.length === 0 ? 'leaf' : isEntries ? 'struct' : isMap(row) ? 'map' : isList(row) ? 'list' : 'struct'
    const node: ParquetNode = {
      name: row.name,
      fieldId: row.field_id === null ? undefined : Number(row.field_id),
      shape,
      children: shape === 'map' ? children[0]!.children : shape === 'list' ? [elementOf(children[0]!)] : children,
      type: (shape === 'leaf' && row.duckdb_type) || '',
    }
    // A repeated column outside of a list or map is a list of its own.
    const isOwnList = row.repetition_type === 'REPEATED' && inside && !isList(inside) && !isMap(inside)
    return isOwnList ? { ...node, shape: 'list', children: [elementOf(node)], type: '' } : node
  }
  return read(undefined).children
}

/**
 * What a repeated column is a list of. The engine takes a group of one column for a wrapper around the element, also
 * where the writer meant a struct of one field (parquet-format, "Lists", backward-compatibility rules).
 */
const elementOf = (repeated: ParquetNode): ParquetNode =>
  repeated.shape === 'struct' && repeated.children.length === 1 ? repeated.children[0]! : repeated

const isList = (row: SchemaRow) => row.converted_type === 'LIST' || row.logical_type?.startsWith('ListType') === true

const isMap = (row: SchemaRow) =>
  row.converted_type === 'MAP' ||
  row.converted_type === 'MAP_KEY_VALUE' ||
  row.logical_type?.startsWith('MapType') === true
