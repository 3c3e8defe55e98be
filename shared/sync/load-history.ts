import { IngestError } from '../core/errors.ts'
import type { AddFile, Metadata, Protocol } from '../delta/actions.ts'
import { logicalSchema } from '../delta/column-mapping.ts'
import { locate } from '../delta/file-path.ts'
import { fileRows } from '../delta/skipping.ts'
import type { TableChange, TableSnapshot } from '../delta/table.ts'
import type { StagedFile } from '../load/changes.ts'
import { historySchema } from '../load/history-columns.ts'
import { merge } from '../load/merge.ts'
import type { Schema } from '../schema/types.ts'
import { keepsHistory, type StreamRun, type StreamTask } from './stream-run.ts'

/** The share of a table's rows that a whole read may lack before it is taken for a source that answered in part. */
const MAX_SHRINK = 0.5

/** The columns of a stream's table. */
export const tableSchema = (task: StreamTask, schema: Schema): Schema =>
  keepsHistory(task) ? historySchema(schema, task.table.sequenceBy) : schema

/**
 * What a full copy makes of a history: rows that differ from their open version begin a new one, keys that are not there
 * end theirs, and the versions before stay. `columns`: what the table gets where it cannot keep its columns; the history
 * then begins anew.
 */
export async function historyChange(
  { task, ports }: StreamRun,
  snapshot: TableSnapshot,
  copied: readonly AddFile[],
  columns: { metadata?: Metadata; protocol?: Protocol },
): Promise<TableChange> {
  const { metadata, protocol } = columns
  const base = metadata
    ? { ...snapshot, metadata, schema: logicalSchema(metadata, snapshot.root), files: new Map<string, AddFile>() }
    : snapshot
  const { key, sequenceBy } = task.table
  const { change } = await merge(
    base,
    copied.map((file) => stagedFile(snapshot.root, ports.storage.url, file)),
    {
      mode: 'SCD_TYPE_2',
      keys: key,
      sequenceBy,
      staged: 'snapshot',
      maxShrink: task.fullRefresh ? 1 : MAX_SHRINK,
    },
    { ...ports, engine: await ports.engine() },
  )
  if (!metadata) return change
  return { ...change, remove: [...snapshot.files.values()], metadata, ...(protocol && { protocol }) }
}

/**
 * A whole read that replaces a table must not lack much of it: the source may have answered in part. A full refresh that
 * was asked for may.
 * @throws IngestError `source.shrunk` (fix)
 */
export function requireMostRows({ task, stream }: StreamRun, table: TableSnapshot, rows: number): void {
  if (stream.kind !== 'snapshot' || task.fullRefresh) return
  const live = [...table.files.values()].reduce(
    (sum, file) => sum + (fileRows(file) ?? 0) - (file.deletionVector?.cardinality ?? 0),
    0,
  )
  if (rows >= live * (1 - MAX_SHRINK)) return
  throw new IngestError(
    'source.shrunk',
    `the source has ${rows} rows for ${task.stream}, which has ${live}; run a full refresh of the stream if so many were deleted`,
  )
}

function stagedFile(root: string, url: string, file: AddFile): StagedFile {
  const place = locate(file.path, root, url)
  if (!('storagePath' in place)) throw new IngestError('bug.invariant', 'a staged file is outside of the table')
  return { path: place.storagePath, rows: fileRows(file) ?? 0, sizeBytes: file.size }
}
