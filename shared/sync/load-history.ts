import { IngestError } from '../core/errors.ts'
import type { AddFile, Metadata } from '../delta/actions.ts'
import { logicalSchema } from '../delta/column-mapping.ts'
import { locate } from '../delta/file-path.ts'
import { fileRows } from '../delta/skipping.ts'
import type { TableChange, TableSnapshot } from '../delta/table.ts'
import type { StagedFile } from '../load/changes.ts'
import { merge } from '../load/merge.ts'
import { requireFew } from '../load/snapshot-changes.ts'
import type { LoadPlan } from './load-plan.ts'
import { mergeSpec, quarantine, type StreamRun, setAside } from './stream-run.ts'

/**
 * What a full copy makes of a history: rows that differ from their open version begin a new one, keys that are not there
 * end theirs, and the versions before stay. The changes since the copy began are laid on top. Without `keepsVersions` the
 * history begins anew.
 */
export async function historyChange(
  run: StreamRun,
  snapshot: TableSnapshot,
  { copied, since }: { copied: readonly AddFile[]; since: readonly StagedFile[] },
  { metadata, protocol, keepsVersions, refresh }: LoadPlan & { metadata: Metadata },
): Promise<TableChange> {
  const { task, ports } = run
  const empty = { ...snapshot, metadata, schema: logicalSchema(metadata, snapshot.root), files: new Map() }
  const { change, rejected } = await merge(
    keepsVersions ? snapshot : empty,
    copied.map((file) => stagedFile(snapshot.root, ports.storage.url, file)),
    { ...mergeSpec(task), staged: 'snapshot', since, ...(refresh && { maxShrink: 1 }) },
    { ...ports, engine: await ports.engine() },
  )
  setAside(run, rejected)
  await quarantine(run)
  if (keepsVersions) return change
  return { ...change, remove: [...snapshot.files.values()], metadata, ...(protocol && { protocol }) }
}

/**
 * A whole read that replaces a table must not lack much of it: the source may have answered in part. A full refresh that
 * was asked for may.
 * @throws IngestError `source.shrunk` (fix)
 */
export function requireMostRows(
  { task, stream }: StreamRun,
  table: TableSnapshot,
  rows: number,
  { refresh }: LoadPlan,
): void {
  if (stream.kind !== 'snapshot' || refresh) return
  const live = [...table.files.values()].reduce(
    (sum, file) => sum + (fileRows(file) ?? 0) - (file.deletionVector?.cardinality ?? 0),
    0,
  )
  requireFew({ missing: live - rows, live }, mergeSpec(task), task.stream)
}

function stagedFile(root: string, url: string, file: AddFile): StagedFile {
  const place = locate(file.path, root, url)
  if (!('storagePath' in place)) throw new IngestError('bug.invariant', 'a staged file is outside of the table')
  return { path: place.storagePath, rows: fileRows(file) ?? 0, sizeBytes: file.size }
}
