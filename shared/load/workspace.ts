import { join } from 'node:path'
import { IngestError } from '../core/errors.ts'
import type { AddFile } from '../delta/actions.ts'
import { physicalName } from '../delta/column-mapping.ts'
import { locate } from '../delta/file-path.ts'
import type { TableSnapshot } from '../delta/table.ts'
import type { Field } from '../schema/types.ts'
import type { Storage } from '../storage/storage.ts'
import { changeFields, type StagedFile } from './changes.ts'
import type { Session } from './engine.ts'
import { localFile } from './local-files.ts'
import { literal, quoted, sqlType } from './sql.ts'

/** The order of staged changes is `file_index * FILE_STRIDE + file_row_number`. */
export const FILE_STRIDE = 2 ** 40

/** What every step of one merge works on. */
export interface Workspace {
  readonly session: Session
  readonly storage: Storage
  readonly table: TableSnapshot
  /** The table's columns as data files have them, by physical name. */
  readonly fields: readonly Field[]
  /** A file without rows whose schema is the table's and `changeFields`: read first, it types all others. */
  readonly schemaFile: string
}

export async function openWorkspace(session: Session, storage: Storage, table: TableSnapshot): Promise<Workspace> {
  const fields = table.schema.fields
  const schemaFile = join(session.folder, 'schema.parquet')
  const nothing = [...fields, ...changeFields].map(
    (field) => `null::${sqlType(field.type)} ${quoted(physicalName(field))}`,
  )
  await session.run(`copy (select ${nothing} limit 0) to ${literal(schemaFile)} (format parquet)`)
  return { session, storage, table, fields, schemaFile }
}

/** The names of the table's columns inside data files. */
export const storedNames = (work: Workspace): string[] => work.fields.map(physicalName)

/**
 * The rows of files of the table as a relation: its columns, with null where a file is older than a column, and
 * `file_index` (from 1, in the order given), `file_row_number` (from 0).
 */
export async function tableRows(work: Workspace, files: readonly AddFile[]): Promise<string> {
  const paths = files.map((file) => pathOf(work, file))
  return rowsOf(work, paths, work.fields)
}

/** Staged changes as a relation: the table's columns and those of `changeFields`; counted as in `tableRows`. */
export function stagedRows(work: Workspace, staged: readonly StagedFile[]): Promise<string> {
  const paths = staged.map((file) => file.path)
  return rowsOf(work, paths, [...work.fields, ...changeFields])
}

async function rowsOf(work: Workspace, paths: readonly string[], fields: readonly Field[]) {
  const files = [work.schemaFile]
  for (const path of paths) files.push(await localFile(work.storage, path, work.session.folder))
  const columns = fields.map((field) => {
    const name = quoted(physicalName(field))
    return `${name}::${sqlType(field.type)} ${name}`
  })
  return `(select ${columns.join(', ')}, file_index, file_row_number from read_parquet([${files.map(literal).join(', ')}], union_by_name = true, hive_partitioning = false))`
}

function pathOf(work: Workspace, file: AddFile): string {
  const place = locate(file.path, work.table.root, work.storage.url)
  if ('storagePath' in place) return place.storagePath
  throw new IngestError(
    'table.unsupported_feature',
    `the table ${work.table.root} has files outside of the lakehouse, at ${place.url}; copy the table to change its rows`,
  )
}
