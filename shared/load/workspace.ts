import { join } from 'node:path'
import { IngestError } from '../core/errors.ts'
import type { Random } from '../core/random.ts'
import type { AddFile } from '../delta/actions.ts'
import { physicalName } from '../delta/column-mapping.ts'
import { readDeletionVector } from '../delta/deletion-vector.ts'
import { locate } from '../delta/file-path.ts'
import type { TableSnapshot } from '../delta/table.ts'
import type { Field } from '../schema/types.ts'
import type { Storage } from '../storage/storage.ts'
import { changeFields, type StagedFile } from './changes.ts'
import type { Session } from './engine.ts'
import { localFile } from './local-files.ts'
import { partitionSql } from './read-table.ts'
import { literal, placed, quoted, sqlType, unpushed } from './sql.ts'

/** Rows of one file are numbered below this. */
const FILE_STRIDE = 2 ** 40

/** What every step of one merge works on. */
export interface Workspace {
  readonly session: Session
  readonly storage: Storage
  readonly table: TableSnapshot
  /** The table's columns as data files have them, by physical name. */
  readonly fields: readonly Field[]
  /** A file without rows whose schema is the table's and `changeFields`: read first, it types all others. */
  readonly schemaFile: string
  readonly random: Random
}

export async function openWorkspace(
  session: Session,
  table: TableSnapshot,
  { storage, random }: { storage: Storage; random: Random },
): Promise<Workspace> {
  const fields = table.schema.fields
  const schemaFile = join(session.folder, 'schema.parquet')
  const nothing = [...fields, ...changeFields].map(
    (field) => `null::${sqlType(field.type)} ${quoted(physicalName(field))}`,
  )
  await session.run(`copy (select ${nothing} limit 0) to ${literal(schemaFile)} (format parquet)`)
  return { session, storage, random, table, fields, schemaFile }
}

/** The names of the table's columns inside data files. */
export const storedNames = (work: Workspace): string[] => work.fields.map(physicalName)

/**
 * The rows of files of the table as a relation: its columns, with null where a file is older than a column, and
 * `_lf_file` (from 1, in the order given), `_lf_row` (from 0). Rows deleted by a deletion vector are left out.
 */
export async function tableRows(work: Workspace, files: readonly AddFile[]): Promise<string> {
  const paths = []
  const dead: string[] = []
  for (const [at, file] of files.entries()) {
    paths.push(await localFile(work.storage, pathOf(work, file), work.session.folder))
    if (!file.deletionVector) continue
    const rows = await readDeletionVector(work.storage, work.table.root, file.deletionVector)
    dead.push(`select ${at + 1}::ubigint _lf_file, unnest([${rows.join(', ')}]::bigint[]) _lf_row`)
  }
  const rows = withPartitions(work, files, rowsOf(work, paths, work.fields))
  if (dead.length === 0) return rows
  const vectors = `dead_rows_${work.random.uuid().replaceAll('-', '')}`
  await work.session.run(`create temp table ${vectors} as ${dead.join(' union all ')}`)
  return `(from ${rows} anti join ${vectors} using (_lf_file, _lf_row))`
}

/** Partition values are in the log and not in the files. */
function withPartitions(work: Workspace, files: readonly AddFile[], rows: string): string {
  const fields = partitionFields(work)
  if (fields.length === 0 || files.length === 0) return rows
  const values = files.map((file, at) => {
    const texts = fields.map((field) => partitionSql(field, file.partitionValues[physicalName(field)]))
    return `(${[at + 1, ...texts].join(', ')})`
  })
  const names = fields.map((field) => quoted(physicalName(field)))
  return `(select r.* replace (${names.map((name) => `p.${name} as ${name}`).join(', ')}) from ${rows} r
    join (values ${values.join(', ')}) p(_lf_at, ${names.join(', ')}) on r._lf_file = p._lf_at)`
}

/** The columns the table is partitioned by. */
export const partitionFields = (work: Workspace): Field[] =>
  work.fields.filter(({ name }) => work.table.metadata.partitionColumns.includes(name))

/** Staged changes on disk of this machine, oldest first. */
export interface Changes {
  paths: readonly string[]
  rows: number
}

export async function openChanges(work: Workspace, staged: readonly StagedFile[]): Promise<Changes> {
  const paths = []
  for (const file of staged) paths.push(await localFile(work.storage, file.path, work.session.folder))
  return { paths, rows: staged.reduce((rows, file) => rows + file.rows, 0) }
}

/** Changes, and then others that came after them. */
export const followedBy = (first: Changes, then: Changes): Changes => ({
  paths: [...first.paths, ...then.paths],
  rows: first.rows + then.rows,
})

/** Staged changes as a relation: the table's columns, those of `changeFields`, and `_lf_ord`, their order. */
export function changeRows(work: Workspace, changes: Changes): string {
  const rows = rowsOf(work, changes.paths, [...work.fields, ...changeFields])
  return `(select * exclude (_lf_file, _lf_row), _lf_file::bigint * ${FILE_STRIDE} + _lf_row _lf_ord from ${rows})`
}

/**
 * The columns of files, by the place that the schema file gives them: the engine's own `file_index` and `file_row_number`
 * give way to columns of these names.
 */
function rowsOf(work: Workspace, paths: readonly string[], fields: readonly Field[]): string {
  const places = [...work.fields, ...changeFields].map((field, at) => placed(physicalName(field), at))
  const outputs = fields.map((field, at) => {
    const value = field.type.kind === 'binary' ? unpushed(places[at]!) : places[at]
    return `${value}::${sqlType(field.type)} ${quoted(physicalName(field))}`
  })
  const files = [work.schemaFile, ...paths].map(literal)
  return `(select ${outputs.join(', ')}, file_index _lf_file, file_row_number _lf_row
    from read_parquet([${files.join(', ')}], union_by_name = true, hive_partitioning = false) f(${places.join(', ')}))`
}

function pathOf(work: Workspace, file: AddFile): string {
  const place = locate(file.path, work.table.root, work.storage.url)
  if ('storagePath' in place) return place.storagePath
  throw new IngestError(
    'table.unsupported_feature',
    `the table ${work.table.root} has files outside of the lakehouse, at ${place.url}; copy the table to change its rows`,
  )
}
