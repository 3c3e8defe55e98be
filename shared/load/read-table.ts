import { randomUUID } from 'node:crypto'
import { symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { IngestError } from '../core/errors.ts'
import type { AddFile } from '../delta/actions.ts'
import { mappingMode, physicalName } from '../delta/column-mapping.ts'
import { hasFeature } from '../delta/features.ts'
import { type ScanFile, scanFile } from '../delta/scan.ts'
import type { TableSnapshot } from '../delta/table.ts'
import type { Field } from '../schema/types.ts'
import type { Storage } from '../storage/storage.ts'
import { columnSql, type Naming, nullSql, outputName } from './convert-column.ts'
import type { Session } from './engine.ts'
import { checkCalendar } from './legacy-calendar.ts'
import { localFile } from './local-files.ts'
import { findColumn, markVariants, type ParquetNode, parquetColumns } from './parquet-tree.ts'
import { literal, placed, quoted, sqlType } from './sql.ts'

export interface ReadTableOptions {
  /** Only these files of the snapshot. Default: all. */
  files?: Iterable<AddFile>
  /** Only these columns, in this order. Default: all. */
  columns?: readonly Field[]
  /** `physical`: columns and struct fields are named as in data files, to be written again. Default `logical`. */
  names?: 'logical' | 'physical'
  /** Adds `__file` (the file's key in the snapshot) and `__row` (its position in the file, from 0). */
  positions?: boolean
}

/** A file with the path the engine opens and the columns it has. */
interface OpenFile extends ScanFile {
  path: string
  nodes: readonly ParquetNode[]
}

const PATH = '"__path"'
/** Up to this many deleted rows are part of the statement's text; more go through a file. */
const INLINE_ROWS = 1000

/**
 * A SELECT that gives a table's rows: logical column names and types, NULL where a file does not have a column, partition
 * values as columns, deleted rows left out, columns found by name or id as the table maps them. It stays valid as long as
 * the session. Files that are not on a disk of this machine are copied to the session's folder.
 *
 * @throws IngestError `table.corrupt` (fix) naming a file that is missing or not Parquet,
 *   `table.unsupported_feature` (fix) naming one outside of the lakehouse, or written with Spark's legacy calendar
 */
export async function readTableSql(
  session: Session,
  storage: Storage,
  table: TableSnapshot,
  options: ReadTableOptions = {},
): Promise<string> {
  const fields = options.columns ?? table.schema.fields
  const files: OpenFile[] = []
  for (const add of options.files ?? table.files.values()) {
    const file = await scanFile(storage, table, add)
    files.push({ ...file, path: await openPath(storage, file, session.folder), nodes: [] })
  }
  if (files.length === 0 || fields.length === 0) return noRows(fields, options, namingOf(table, options))
  const nodes = await parquetColumns(
    session,
    files.map(({ path }) => path),
  ).catch((cause) => {
    const text = String(cause instanceof IngestError ? cause.cause : cause)
    const [why] = text.replace(/^(?:\w* ?Error: )+/, '').split('\n')
    throw new IngestError('table.corrupt', `a data file of the table ${table.root} is missing or damaged: ${why}`, {
      cause,
    })
  })
  await checkCalendar(session, table, files, fields)
  // Files of one shape are read by one scan.
  const groups = new Map<string, OpenFile[]>()
  const variants = ['variantType', 'variantType-preview'].some((name) => hasFeature(table.protocol, name))
  for (const file of files) {
    file.nodes = nodes.get(file.path) ?? []
    if (variants) file.nodes = await markVariants(session, file.path, file.nodes)
    const shape = JSON.stringify([file.nodes, file.deletedRows.length > 0])
    const group = groups.get(shape)
    if (group) group.push(file)
    else groups.set(shape, [file])
  }
  const selects: string[] = []
  for (const group of groups.values()) selects.push(await groupSql(session, table, group, fields, options))
  return selects.length === 1 ? selects[0]! : `select * from (${selects.join('\nunion all\n')})`
}

async function groupSql(
  session: Session,
  table: TableSnapshot,
  files: readonly OpenFile[],
  fields: readonly Field[],
  options: ReadTableOptions,
): Promise<string> {
  const naming = { ...namingOf(table, options), file: files[0]!.add.path }
  const name = (field: Field) => quoted(outputName(field, naming))
  const partitions = fields.filter(({ name }) => table.metadata.partitionColumns.includes(name))
  const [nodes, deletes] = [files[0]!.nodes, files[0]!.deletedRows.length > 0]
  const outputs = fields.map((field) => {
    if (partitions.includes(field)) return `p.${name(field)}`
    const node = findColumn(nodes, field, naming.byId)
    const value = node
      ? columnSql(`f.${placed(node.name, nodes.indexOf(node))}`, node, field.type, naming)
      : nullSql(field.type, naming)
    return `${value} as ${name(field)}`
  })
  if (options.positions) outputs.push('p."__file"', 'f.file_row_number as "__row"')
  // Columns are named by their place: the engine's own `filename` and `file_row_number` give way to columns of these names.
  const places = nodes.length > 0 ? `(${nodes.map((node, at) => placed(node.name, at)).join(', ')})` : ''
  const list = files.map(({ path }) => literal(path)).join(', ')
  let from = `read_parquet([${list}], hive_partitioning = false) as f${places}`
  if (partitions.length > 0 || options.positions) {
    const lookup = ['"__file"', PATH, ...partitions.map(name)]
    const rows = files.map((file) => {
      const values = partitions.map((field) => partitionSql(field, file.add.partitionValues[physicalName(field)]))
      return `(${[literal(file.key), literal(file.path), ...values].join(', ')})`
    })
    from += ` join (values ${rows.join(', ')}) as p(${lookup.join(', ')}) on f.filename = p.${PATH}`
  }
  if (deletes) {
    const deleted = await deletedSql(session, files)
    from += ` anti join ${deleted} as d(path, row) on f.filename = d.path and f.file_row_number = d.row`
  }
  return `select ${outputs.join(', ')} from ${from}`
}

/** A partition value from its text; empty text is null for every type (Delta protocol, "Partition Value Serialization"). */
export function partitionSql(field: Field, text: string | null | undefined): string {
  if (text == null || text === '') return `cast(null as ${sqlType(field.type)})`
  return field.type.kind === 'binary' ? `encode(${literal(text)})` : `cast(${literal(text)} as ${sqlType(field.type)})`
}

async function deletedSql(session: Session, files: readonly OpenFile[]): Promise<string> {
  const total = files.reduce((sum, { deletedRows }) => sum + deletedRows.length, 0)
  if (total <= INLINE_ROWS) {
    const rows = files.flatMap(({ path, deletedRows }) => deletedRows.map((row) => `(${literal(path)}, ${row})`))
    return `(values ${rows.join(', ')})`
  }
  const file = join(session.folder, `deleted-${randomUUID()}.csv`)
  const lines = files.map(({ deletedRows }, index) => deletedRows.map((row) => `${index},${row}\n`).join(''))
  await writeFile(file, lines.join(''))
  const paths = `[${files.map(({ path }) => literal(path)).join(', ')}]`
  return `(select ${paths}[file + 1], row from read_csv(${literal(file)}, header = false, columns = {file: 'BIGINT', row: 'BIGINT'}))`
}

/** Where the engine finds the bytes of a file. It takes some characters of a path for a pattern, so those get a link. */
async function openPath(storage: Storage, file: ScanFile, folder: string): Promise<string> {
  const path = await localPath(storage, file, folder)
  if (!/[*?[\]{}]/.test(path)) return path
  const link = join(folder, `${randomUUID()}.parquet`)
  await symlink(path, link)
  return link
}

async function localPath(storage: Storage, { location, add }: ScanFile, folder: string): Promise<string> {
  if ('storagePath' in location) return await localFile(storage, location.storagePath, folder)
  if (location.url.startsWith('file://')) return location.url.slice('file://'.length)
  throw new IngestError(
    'table.unsupported_feature',
    `the data file ${add.path} is outside of the lakehouse; copy the table into it`,
  )
}

const namingOf = (table: TableSnapshot, { names }: ReadTableOptions): Naming => ({
  byId: mappingMode(table.metadata) === 'id',
  physical: names === 'physical',
})

function noRows(fields: readonly Field[], { positions }: ReadTableOptions, naming: Naming): string {
  const outputs = fields.map((field) => `${nullSql(field.type, naming)} as ${quoted(outputName(field, naming))}`)
  if (positions) outputs.push('cast(null as VARCHAR) as "__file"', 'cast(null as BIGINT) as "__row"')
  return `select ${outputs.length > 0 ? outputs.join(', ') : 'null as "no columns"'} where false`
}
