import type { Random } from '../core/random.ts'
import type { AddFile } from '../delta/actions.ts'
import { physicalName } from '../delta/column-mapping.ts'
import { readDeletionVector, writeDeletionVectors } from '../delta/deletion-vector.ts'
import { fileRows } from '../delta/skipping.ts'
import type { Field } from '../schema/types.ts'
import { columns } from './sql.ts'
import { tableRows, type Workspace } from './workspace.ts'

/** True for a table whose deleted rows are marked instead of its files rewritten. */
export const marksDeleted = (work: Workspace): boolean =>
  work.table.metadata.configuration['delta.enableDeletionVectors']?.toLowerCase() === 'true'

/**
 * Marks the rows of `files` that have a key of the temporary table `doomed` as deleted: each file comes back with the
 * union of its old and new deletion vector, and one that has no row left does not come back (Delta protocol, "Deletion
 * Vectors"). `marked`: how many rows. A file whose row count the log does not tell cannot be marked, and is in `unmarked`.
 */
export async function markDeleted(
  work: Workspace,
  files: readonly AddFile[],
  keys: readonly Field[],
  { random }: { random: Random },
): Promise<{ add: AddFile[]; marked: number; unmarked: AddFile[] }> {
  const { session, storage, table } = work
  const markable = files.filter((file) => fileRows(file) !== undefined)
  const unmarked = files.filter((file) => fileRows(file) === undefined)
  if (markable.length === 0) return { add: [], marked: 0, unmarked }
  const found = await session.rows(`
    select _lf_file, list(_lf_row) dead from ${await tableRows(work, markable)}
    semi join doomed using (${columns(keys.map(physicalName))}) group by _lf_file`)
  const dead = new Map(found.map((row) => [Number(row._lf_file), (row.dead as bigint[]).map(Number)]))

  const marked = [...dead.values()].reduce((sum, rows) => sum + rows.length, 0)
  const kept: { file: AddFile; rows: number[] }[] = []
  for (const [at, file] of markable.entries()) {
    const old = file.deletionVector ? await readDeletionVector(storage, table.root, file.deletionVector) : []
    const rows = [...old, ...(dead.get(at + 1) ?? [])].sort((a, b) => a - b)
    if (rows.length < fileRows(file)!) kept.push({ file, rows })
  }
  if (kept.length === 0) return { add: [], marked, unmarked }
  const vectors = await writeDeletionVectors(
    storage,
    table.root,
    kept.map(({ rows }) => rows),
    random,
  )
  const add = kept.map(({ file }, at) => ({
    ...file,
    dataChange: true,
    deletionVector: vectors[at]!,
    stats: looseStats(file.stats!),
  }))
  return { add, marked, unmarked }
}

/** The statistics still bound the rows, but are no longer their exact extremes. The text keeps every digit. */
const looseStats = (stats: string): string =>
  /"tightBounds"\s*:/.test(stats)
    ? stats.replace(/"tightBounds"\s*:\s*true/, '"tightBounds":false')
    : stats.replace(/^\s*\{/, '{"tightBounds":false,')
