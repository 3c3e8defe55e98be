import { IngestError } from '../core/errors.ts'
import type { Storage } from '../storage/storage.ts'
import { commitPath, type LogFile, lastCheckpointPath, logFolder, parseLogFile, versionName } from './log-files.ts'
import type { CheckpointFiles } from './read-checkpoint.ts'

/** The files that make up one version: a log checkpoint if any, and every commit after it. */
export interface LogSegment {
  version: number
  checkpoint: CheckpointFiles | undefined
  /** Commits and compacted ranges after the checkpoint, in order. */
  commits: readonly { path: string; from: number; to: number }[]
  /** When the version's commit file was written; of its checkpoint when the commit is gone. */
  modifiedAtMs: number
}

export interface LogEntry {
  file: LogFile
  path: string
  modifiedAtMs: number
}

/** Everything in a table's log that has a version, in order of name, from `from` on. */
export async function listLog(storage: Storage, root: string, from = 0): Promise<LogEntry[]> {
  const folder = logFolder(root)
  const entries: LogEntry[] = []
  // "...12" sorts before "...12.json" and everything else of version 12.
  for await (const { path, modifiedAtMs } of storage.list(folder, from > 0 ? folder + versionName(from) : undefined)) {
    const name = path.slice(folder.length)
    // Versions sort first; what follows is `_last_checkpoint`, `_sidecars/` and strangers.
    if (name > '9'.repeat(21)) break
    const file = parseLogFile(name)
    if (file) entries.push({ file, path, modifiedAtMs })
  }
  return entries
}

/**
 * The files of a version, or of the newest one. `_last_checkpoint` only says where to begin listing: what is listed
 * decides, without the log checkpoints that have a file in `damaged`. Undefined when the table has no log.
 * @throws IngestError `table.missing` (fix) for a version that is not there, `table.corrupt` (fix) for a gap
 */
export async function findSegment(
  storage: Storage,
  root: string,
  version?: number,
  damaged: ReadonlySet<string> = new Set(),
): Promise<LogSegment | undefined> {
  const sound = async (from?: number) => (await listLog(storage, root, from)).filter(({ path }) => !damaged.has(path))
  const hint = await checkpointHint(storage, root)
  if (hint !== undefined && (version === undefined || hint <= version)) {
    const segment = segmentOf(await sound(hint), root, version, false)
    if (segment) return segment
  }
  return segmentOf(await sound(), root, version, true)
}

/** With `all` the entries are the whole log, and what cannot be put together is an error. */
function segmentOf(
  entries: readonly LogEntry[],
  root: string,
  wanted: number | undefined,
  all: boolean,
): LogSegment | undefined {
  const commits = new Map<number, LogEntry>()
  for (const entry of entries) if (entry.file.kind === 'commit') commits.set(entry.file.version, entry)
  const checkpoints = completeCheckpoints(entries)
  const newest = Math.max(-1, ...commits.keys(), ...checkpoints.map(({ version }) => version))
  if (newest < 0) return undefined
  const target = wanted ?? newest
  const checkpoint = checkpoints.findLast(({ version }) => version <= target)
  const first = checkpoint ? checkpoint.version + 1 : 0
  if (target > newest || (!checkpoint && !commits.has(0))) {
    if (!all) return undefined
    if (target <= newest && wanted === undefined) throw gap(root, 0)
    throw new IngestError('table.missing', `the table ${root} has no version ${target}; ${available(commits, newest)}`)
  }
  for (let version = first; version <= target; version++) {
    if (!commits.has(version)) {
      if (!all) return undefined
      throw gap(root, version)
    }
  }
  const last = commits.get(target)
  return {
    version: target,
    checkpoint,
    commits: withCompacted(entries, commits, first, target),
    modifiedAtMs: last?.modifiedAtMs ?? checkpoint?.modifiedAtMs ?? 0,
  }
}

/** Complete log checkpoints in order of version; of several at one version the newest form comes last. */
function completeCheckpoints(entries: readonly LogEntry[]): (CheckpointFiles & { modifiedAtMs: number })[] {
  const complete: (CheckpointFiles & { modifiedAtMs: number })[] = []
  const parts = new Map<string, string[]>()
  for (const { file, path, modifiedAtMs } of entries) {
    if (file.kind !== 'checkpoint') continue
    if (file.form !== 'multi-part') {
      complete.push({ version: file.version, paths: [path], modifiedAtMs })
      continue
    }
    const key = `${file.version}.${file.parts}`
    const found = parts.get(key) ?? []
    parts.set(key, found)
    found.push(path)
    if (found.length === file.parts) complete.push({ version: file.version, paths: found, modifiedAtMs })
  }
  return complete
}

/** Commits `first`..`target`, with compacted files where they fit. The last commit is always read itself: its commitInfo is needed. */
function withCompacted(
  entries: readonly LogEntry[],
  commits: ReadonlyMap<number, LogEntry>,
  first: number,
  target: number,
): LogSegment['commits'] {
  const longest = new Map<number, { path: string; to: number }>()
  for (const { file, path } of entries) {
    if (file.kind !== 'compacted' || file.version >= target) continue
    if (file.version > (longest.get(file.from)?.to ?? -1)) longest.set(file.from, { path, to: file.version })
  }
  const chosen: { path: string; from: number; to: number }[] = []
  for (let version = first; version <= target; version = chosen.at(-1)!.to + 1) {
    const compacted = longest.get(version)
    chosen.push(
      compacted
        ? { path: compacted.path, from: version, to: compacted.to }
        : { path: commits.get(version)!.path, from: version, to: version },
    )
  }
  return chosen
}

async function checkpointHint(storage: Storage, root: string): Promise<number | undefined> {
  const bytes = await storage.get(lastCheckpointPath(root))
  if (!bytes) return undefined
  try {
    const { version } = JSON.parse(new TextDecoder().decode(bytes)) as { version?: unknown }
    return Number.isSafeInteger(version) ? (version as number) : undefined
  } catch {
    return undefined
  }
}

const gap = (root: string, version: number) =>
  new IngestError(
    'table.corrupt',
    `the log of the table ${root} has no ${commitPath(root, version)}, though later versions exist; restore the file`,
  )

function available(commits: ReadonlyMap<number, unknown>, newest: number): string {
  const oldest = Math.min(newest, ...commits.keys())
  return oldest === newest ? `there is version ${newest}` : `there are versions ${oldest} to ${newest}`
}
