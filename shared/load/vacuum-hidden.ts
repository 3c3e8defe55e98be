import type { Clock } from '../core/clock.ts'
import type { TableSnapshot } from '../delta/table.ts'
import { vacuum } from '../delta/vacuum.ts'
import type { Storage } from '../storage/storage.ts'
import { sidecarRoot } from './sidecar.ts'

/**
 * Deletes what the merges of a table left in its hidden folder and no running one can still need: staged changes of a
 * process that died, sidecars of before a full refresh, and old files of the present one. Returns their storage paths.
 */
export async function vacuumHidden(
  storage: Storage,
  table: TableSnapshot,
  { clock }: { clock: Clock },
  { retentionMs, dryRun = false }: { retentionMs: number; dryRun?: boolean },
): Promise<string[]> {
  const present = sidecarRoot(table)
  const cutoffMs = clock.now() - retentionMs
  const old: string[] = []
  let kept = false
  for await (const { path, modifiedAtMs } of storage.list(`${table.root}/_lakeflow/`)) {
    if (path.startsWith(`${present}/`)) kept = true
    else if (modifiedAtMs < cutoffMs) old.push(path)
  }
  if (!dryRun && old.length > 0) await storage.delete(old)
  if (!kept) return old
  const { deleted } = await vacuum(storage, present, { clock }, { retentionMs, force: true, dryRun })
  return [...old, ...deleted]
}
