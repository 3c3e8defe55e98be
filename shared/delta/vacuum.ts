import type { Clock } from '../core/clock.ts'
import { IngestError } from '../core/errors.ts'
import type { Storage } from '../storage/storage.ts'
import type { DeletionVector } from './actions.ts'
import { deletionVectorPath } from './deletion-vector.ts'
import { checkWritable } from './features.ts'
import { locate } from './file-path.ts'
import { intervalMs } from './interval.ts'
import { readSnapshot } from './snapshot.ts'
import type { TableSnapshot } from './table.ts'

const WEEK_MS = 7 * 86_400_000
const BATCH = 1000

export interface VacuumOptions {
  /** Default: the table's `delta.deletedFileRetentionDuration`, or 7 days. */
  retentionMs?: number
  /** A shorter retention than the table's own is refused without it: it may take files from readers and writers at work. */
  force?: boolean
  /** Say what would be deleted, and delete nothing. */
  dryRun?: boolean
}

export interface VacuumResult {
  version: number
  /** Storage paths. */
  deleted: string[]
  freedBytes: number
}

/**
 * Deletes the files under a table that no version within the retention needs: neither live nor removed within it, nor
 * written within it, as a running writer has files that are in no log yet. Safe beside readers and writers whose work
 * takes less than the retention. Older versions can then no longer be read.
 *
 * Folders that begin with `_` or `.` are left alone, but for old change data; so is `metadata/`, where Iceberg's is.
 *
 * @throws IngestError `table.missing`, `config.invalid` for too short a retention (both fix)
 */
export async function vacuum(
  storage: Storage,
  root: string,
  { clock }: { clock: Clock },
  options: VacuumOptions = {},
): Promise<VacuumResult> {
  // Listed before the log is read: a file committed in between is live in the log that is read, or young.
  const nowMs = clock.now()
  const prefix = root === '' ? '' : `${root}/`
  const found: { path: string; sizeBytes: number; modifiedAtMs: number }[] = []
  for await (const object of storage.list(prefix)) {
    if (mayVacuum(object.path.slice(prefix.length))) found.push(object)
  }
  const table = await readSnapshot(storage, root)
  if (!table) throw new IngestError('table.missing', `there is no table at ${root}`)
  checkWritable(table.protocol, table.metadata, table.schema, root)
  const cutoffMs = nowMs - retention(table, options)
  const needed = neededPaths(storage, table, cutoffMs)
  const old = found.filter(({ path, modifiedAtMs }) => modifiedAtMs < cutoffMs && !needed.has(path))
  const deleted = old.map(({ path }) => path)
  if (!options.dryRun) {
    for (let at = 0; at < deleted.length; at += BATCH) await storage.delete(deleted.slice(at, at + BATCH))
  }
  return { version: table.version, deleted, freedBytes: old.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) }
}

function retention(table: TableSnapshot, { retentionMs, force }: VacuumOptions): number {
  const own = intervalMs(table.metadata.configuration['delta.deletedFileRetentionDuration'], WEEK_MS)
  if (retentionMs === undefined || retentionMs >= own || force) return retentionMs ?? own
  throw new IngestError(
    'config.invalid',
    `a retention of ${retentionMs / 3_600_000} hours is shorter than the ${own / 3_600_000} hours of the table ${table.root}: files of running readers and writers could be deleted; set delta.deletedFileRetentionDuration, or force it`,
  )
}

/** Data files and deletion vectors of the live table and of what was removed since `cutoffMs`. */
function neededPaths(storage: Storage, table: TableSnapshot, cutoffMs: number): Set<string> {
  const needed = new Set<string>()
  const keep = (file: { path: string; deletionVector?: DeletionVector }) => {
    const place = locate(file.path, table.root, storage.url)
    if ('storagePath' in place) needed.add(place.storagePath)
    const vector = file.deletionVector && deletionVectorPath(table.root, storage.url, file.deletionVector)
    if (vector !== undefined) needed.add(vector)
  }
  for (const file of table.files.values()) keep(file)
  for (const file of table.tombstones.values()) if ((file.deletionTimestamp ?? 0) >= cutoffMs) keep(file)
  return needed
}

/** Not of the log, nor hidden, nor of another format's metadata. A partition folder may begin with `_`: `_day=2026`. */
function mayVacuum(path: string): boolean {
  const folders = path.split('/')
  if (folders[0] === '_change_data') folders.shift()
  else if (folders[0] === 'metadata') return false
  return folders.every((name, index) => {
    const isPartition = index < folders.length - 1 && name.includes('=')
    return isPartition || !(name.startsWith('_') || name.startsWith('.'))
  })
}
