import { IngestError } from '../core/errors.ts'
import type { Storage } from '../storage/storage.ts'
import type { CommitInfo } from './actions.ts'
import { commitInfoOf, readCommit } from './commit-info.ts'
import { listLog } from './log-segment.ts'

/** One version as `describe history` shows it. */
export interface HistoryEntry {
  version: number
  timestampMs: number
  /** As the writer left it; empty when it left none. */
  info: CommitInfo
}

/**
 * The newest version that is not younger than `timestampMs`; undefined when there is no table.
 * @throws IngestError `table.missing` (fix) when every version still there is younger
 */
export async function versionAt(storage: Storage, root: string, timestampMs: number): Promise<number | undefined> {
  const times = await commitTimes(storage, root)
  if (times.length === 0) return undefined
  // The first version that is younger, by halving: times grow with versions, and each look costs a read.
  let [low, high] = [0, times.length]
  while (low < high) {
    const middle = (low + high) >> 1
    const { version, modifiedAtMs } = times[middle]!
    const info = commitInfoOf((await readCommit(storage, root, version)) ?? [])
    if ((info?.inCommitTimestamp ?? modifiedAtMs) <= timestampMs) low = middle + 1
    else high = middle
  }
  if (low > 0) return times[low - 1]!.version
  throw new IngestError(
    'table.missing',
    `the table ${root} has no version as old as ${new Date(timestampMs).toISOString()}; the oldest is ${times[0]!.version}`,
  )
}

/** The commits still in the log, newest first, at most `limit` of them. Empty when there is no table. */
export async function history(
  storage: Storage,
  root: string,
  limit = Number.POSITIVE_INFINITY,
): Promise<HistoryEntry[]> {
  const entries: HistoryEntry[] = []
  for (const { version, modifiedAtMs } of (await commitTimes(storage, root)).toReversed()) {
    if (entries.length >= limit) break
    const info = commitInfoOf((await readCommit(storage, root, version)) ?? []) ?? {}
    entries.push({ version, timestampMs: info.inCommitTimestamp ?? modifiedAtMs, info })
  }
  return entries
}

/**
 * Versions still in the log with the time their file was written, each made later than the one before, because copying a table can shuffle
 * the times of its files.
 */
export async function commitTimes(
  storage: Storage,
  root: string,
): Promise<{ version: number; modifiedAtMs: number }[]> {
  const times: { version: number; modifiedAtMs: number }[] = []
  for (const { file, modifiedAtMs } of await listLog(storage, root)) {
    if (file.kind !== 'commit') continue
    const before = times.at(-1)?.modifiedAtMs ?? Number.NEGATIVE_INFINITY
    times.push({ version: file.version, modifiedAtMs: Math.max(modifiedAtMs, before + 1) })
  }
  return times
}
