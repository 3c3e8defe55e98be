import type { Storage } from '../storage/storage.ts'
import type { AddFile } from './actions.ts'
import { readDeletionVector } from './deletion-vector.ts'
import { type FileLocation, fileKey, locate } from './file-path.ts'
import { type ColumnRange, fileMayContain } from './skipping.ts'
import type { TableSnapshot } from './table.ts'

/** One live file of a table, as what reads it needs it. */
export interface ScanFile {
  /** As in the snapshot's `files`. */
  key: string
  add: AddFile
  location: FileLocation
  /** Positions, from 0 and ascending, of rows that are deleted. Empty for most files. */
  deletedRows: readonly number[]
}

/**
 * The live files that may hold rows inside all `ranges`, with their deleted rows, in the order of the log.
 * @throws IngestError `table.corrupt` (fix) for a deletion vector that cannot be read
 */
export async function scanFiles(
  storage: Storage,
  table: TableSnapshot,
  ranges: readonly ColumnRange[] = [],
): Promise<ScanFile[]> {
  const files: ScanFile[] = []
  for (const add of table.files.values()) {
    if (fileMayContain(add, table, ranges)) files.push(await scanFile(storage, table, add))
  }
  return files
}

export async function scanFile(storage: Storage, table: TableSnapshot, add: AddFile): Promise<ScanFile> {
  return {
    key: fileKey(add),
    add,
    location: locate(add.path, table.root, storage.url),
    deletedRows: add.deletionVector ? await readDeletionVector(storage, table.root, add.deletionVector) : [],
  }
}
