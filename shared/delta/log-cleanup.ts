import type { Clock } from '../core/clock.ts'
import type { Storage } from '../storage/storage.ts'
import { intervalMs } from './interval.ts'
import { type LogEntry, listLog } from './log-segment.ts'
import type { TableSnapshot } from './table.ts'

const MONTH_MS = 30 * 86_400_000

/**
 * Deletes log files that no version younger than `delta.logRetentionDuration` (default 30 days) needs, and returns their
 * paths. Every younger version can still be read: the newest log checkpoint that is at least that old is kept with its
 * commit, and only what comes before it goes. Sidecars of V2 checkpoints stay. Does nothing where
 * `delta.enableExpiredLogCleanup` is false.
 */
export async function cleanLog(storage: Storage, table: TableSnapshot, { clock }: { clock: Clock }): Promise<string[]> {
  const { configuration } = table.metadata
  if (configuration['delta.enableExpiredLogCleanup']?.toLowerCase() === 'false') return []
  const cutoffMs = clock.now() - intervalMs(configuration['delta.logRetentionDuration'], MONTH_MS)
  const entries = await listLog(storage, table.root)
  const first = firstKept(entries, cutoffMs)
  const expired = entries.filter(({ file }) => file.version < first).map(({ path }) => path)
  await storage.delete(expired)
  return expired
}

/** The version of the newest complete checkpoint whose commit is older than the cutoff; 0 when there is none. */
function firstKept(entries: readonly LogEntry[], cutoffMs: number): number {
  let kept = 0
  let committedMs = Number.NEGATIVE_INFINITY
  const commitMs = new Map<number, number>()
  for (const { file, modifiedAtMs } of entries) {
    if (file.kind !== 'commit') continue
    // Copied files may have any time; a version is never older than the one before it.
    committedMs = Math.max(committedMs, modifiedAtMs)
    commitMs.set(file.version, committedMs)
  }
  const parts = new Map<number, number>()
  for (const { file } of entries) {
    if (file.kind !== 'checkpoint' || (commitMs.get(file.version) ?? Number.POSITIVE_INFINITY) >= cutoffMs) continue
    const count = (parts.get(file.version) ?? 0) + 1
    parts.set(file.version, count)
    if (file.form !== 'multi-part' || count === file.parts) kept = Math.max(kept, file.version)
  }
  return kept
}
