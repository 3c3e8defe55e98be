import { IngestError } from '../core/errors.ts'
import type { AddFile } from '../delta/actions.ts'
import { logicalSchema } from '../delta/column-mapping.ts'
import { fileKey, locate } from '../delta/file-path.ts'
import type { TableChange, TableSnapshot } from '../delta/table.ts'
import type { StagedFile } from '../load/changes.ts'
import { forgetLoad, type Load, type Piece, readStaged } from '../state/streams.ts'
import { merged } from './follow-changes.ts'
import { historyChange, requireMostRows } from './load-history.ts'
import { type LoadPlan, loadMetadata, type Settled } from './load-plan.ts'
import { commitStream, copyMergesByKey, keepsHistory, readingOf, type StreamRun } from './stream-run.ts'
import { keyIsUnproven, requireUniqueKey } from './unique-key.ts'

/** A finished copy: the pieces with the source's rows, and the one with the changes since it began, where there are any. */
export interface Copied {
  rows: readonly Piece[]
  changes?: Piece
}

/** The one commit in which the old files go and the new ones come, with every change since the copy began laid on them. */
export async function swapIn(run: StreamRun, load: Load, plan: Settled, pieces: Copied): Promise<void> {
  const { task, ports, log } = run
  const copied = await readStaged<AddFile>(ports.state, task, load, pieces.rows)
  const since = pieces.changes ? await readStaged(ports.state, task, load, [pieces.changes]) : []
  const table = await log.read()
  const { root } = table
  const appended = copyMergesByKey(task) ? [] : (since as AddFile[])
  const laid = copyMergesByKey(task) ? (since as StagedFile[]) : []
  await requireFiles(run, table, [...copied, ...appended], laid)
  if (keyIsUnproven(task.table))
    await requireUniqueKey(task.table, copied, { root, schema: plan.landing.schema }, ports)
  const all = pieces.changes ? [...pieces.rows, pieces.changes] : pieces.rows
  const rows = all.reduce((sum, piece) => sum + piece.rows, 0)
  const cursor = pieces.changes ? pieces.changes.rest : load.cutoff
  const next = { cursor, reading: readingOf(task), loadId: load.id, loadedAtMs: ports.clock.now() }
  try {
    if (!keepsHistory(task)) requireMostRows(run, table, rows, plan)
    let shown: TableChange['add'] = []
    await commitStream(run, next, rows, async (snapshot) => {
      const metadata = loadMetadata(run, snapshot, plan, load)
      const change = keepsHistory(task)
        ? await historyChange(run, snapshot, { copied, since: laid }, { ...plan, metadata })
        : await overwrite(run, { ...snapshot, metadata }, snapshot, [...copied, ...appended], laid, plan)
      shown = change.add
      return change
    })
    // Copied rows that became a history, or that changes were laid on, are in other files now.
    const live = new Set(shown?.map(({ path }) => path))
    const gone = copied.filter(({ path }) => !live.has(path)).map(({ path }) => `${root}/${path}`)
    await ports.storage.delete([...gone, ...laid.map(({ path }) => path)])
  } catch (error) {
    // The next run reads the source again.
    if (error instanceof IngestError && error.code === 'source.shrunk') await forgetLoad(ports.state, task)
    throw error
  }
  await forgetLoad(ports.state, task)
}

/** The table's files become the copied ones. Changes by key are laid on those first, beside the log. */
async function overwrite(
  run: StreamRun,
  { metadata, ...shadow }: TableSnapshot,
  snapshot: TableSnapshot,
  copied: readonly AddFile[],
  since: readonly StagedFile[],
  { protocol }: LoadPlan,
): Promise<TableChange> {
  let add = copied
  if (since.length > 0) {
    const files = new Map(copied.map((file) => [fileKey(file), file]))
    const schema = logicalSchema(metadata, snapshot.root)
    const change = await merged(run, { ...shadow, metadata, schema, files }, since)
    const gone = new Set((change.remove ?? []).map(fileKey))
    add = [...copied.filter((file) => !gone.has(fileKey(file))), ...(change.add ?? [])]
  }
  return {
    operation: 'WRITE',
    operationParameters: { mode: 'Overwrite', partitionBy: [] },
    remove: [...snapshot.files.values()],
    add,
    ...(metadata === snapshot.metadata ? {} : { metadata }),
    ...(protocol && { protocol }),
    reads: 'table',
  }
}

/** A log must not name a file that is gone: vacuum with a short retention may have taken staged ones. */
async function requireFiles(
  run: StreamRun,
  table: TableSnapshot,
  files: readonly AddFile[],
  staged: readonly StagedFile[],
): Promise<void> {
  const { storage, state } = run.ports
  const there = new Set<string>()
  for await (const { path } of storage.list(`${table.root}/part-`)) there.add(path)
  if (staged.length > 0) for await (const { path } of storage.list(`${table.root}/_lakeflow/`)) there.add(path)
  const wanted = files.flatMap(({ path }) => {
    const location = locate(path, table.root, storage.url)
    return 'storagePath' in location ? [location.storagePath] : []
  })
  const missing = [...wanted, ...staged.map(({ path }) => path)].find((path) => !there.has(path))
  if (!missing) return
  await forgetLoad(state, run.task)
  throw new IngestError(
    'table.rewound',
    `the staged file ${missing} was removed before it was committed; vacuum with a longer retention`,
  )
}
