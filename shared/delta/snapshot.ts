import { IngestError } from '../core/errors.ts'
import type { Storage } from '../storage/storage.ts'
import type { Action, CommitInfo } from './actions.ts'
import { commitInfoOf, commitTimestamp, hasInCommitTimestamps, readCommit } from './commit-info.ts'
import { commitPath } from './log-files.ts'
import { findSegment, type LogSegment } from './log-segment.ts'
import { decodeActions } from './log-text.ts'
import { readCheckpoint } from './read-checkpoint.ts'
import type { TableSnapshot } from './table.ts'
import { TableState } from './table-state.ts'
import { versionAt } from './time-travel.ts'

export interface ReadOptions {
  /** This version instead of the newest. */
  version?: number
  /** The newest version that is not younger than this. */
  timestampMs?: number
  /** A snapshot of the same table from before: only commits after it are read. Ignored with the other options. */
  after?: TableSnapshot
}

/** Log cleanup may take files between our listing and our reading; then the log is looked at again. */
const MAX_READS = 3

/**
 * A table at its newest version, or as it was. Undefined when there is no table at `root`.
 * @throws IngestError `table.missing` for a version or time that is not there, `table.corrupt` for a log with a gap or
 *   without protocol or metadata, `table.unsupported_feature` naming what is not understood (all fix)
 */
export async function readSnapshot(
  storage: Storage,
  root: string,
  options: ReadOptions = {},
): Promise<TableSnapshot | undefined> {
  const { version, timestampMs, after } = options
  if (timestampMs !== undefined) {
    const found = await versionAt(storage, root, timestampMs)
    return found === undefined ? undefined : readSnapshot(storage, root, { version: found })
  }
  if (after && version === undefined) {
    const tail = await readTail(storage, after)
    if (tail) return tail
  }
  const damaged = new Map<string, unknown>()
  for (let read = 1; ; ) {
    const segment = await findSegment(storage, root, version, new Set(damaged.keys())).catch((error) => {
      // What is left does not make up the version: the damage is what to tell.
      throw [...damaged.values()][0] ?? error
    })
    if (!segment) return undefined
    const found = await startOf(storage, root, segment)
    if (found.kind === 'damaged') {
      damaged.set(segment.checkpoint!.paths[0]!, found.error)
      continue
    }
    const snapshot = found.kind === 'state' ? await replay(storage, found.state, segment) : undefined
    if (snapshot) return snapshot
    if (read++ === MAX_READS) {
      throw new IngestError('table.corrupt', `files of the log of the table ${root} vanish while it is read; try again`)
    }
  }
}

type Start = { kind: 'state'; state: TableState } | { kind: 'vanished' } | { kind: 'damaged'; error: unknown }

/** The state of a segment's log checkpoint: empty without one. */
async function startOf(storage: Storage, root: string, { checkpoint }: LogSegment): Promise<Start> {
  const state = new TableState(root)
  if (!checkpoint) return { kind: 'state', state }
  try {
    const actions = await readCheckpoint(storage, root, checkpoint)
    if (!actions) return { kind: 'vanished' }
    state.apply(actions)
    return { kind: 'state', state }
  } catch (error) {
    // An older checkpoint, or the commits themselves, may tell the same.
    if (error instanceof IngestError && error.code === 'table.corrupt') return { kind: 'damaged', error }
    throw error
  }
}

async function replay(storage: Storage, state: TableState, segment: LogSegment): Promise<TableSnapshot | undefined> {
  let info: CommitInfo | undefined
  for (const { path } of segment.commits) {
    const bytes = await storage.get(path)
    if (!bytes) return undefined
    const actions = decodeActions(bytes, path)
    state.apply(actions)
    info = commitInfoOf(actions)
  }
  const configuration = state.metadata?.configuration
  if (segment.commits.length === 0 && hasInCommitTimestamps(configuration)) {
    info = commitInfoOf((await readCommit(storage, state.root, segment.version)) ?? [])
  }
  return state.snapshot(segment.version, commitTimestamp(configuration, info, segment.modifiedAtMs))
}

/**
 * The newest version from what came after a snapshot; undefined when that is not in the log any more. The next version is
 * asked for by name: object storage takes for a listing what it takes for a dozen reads.
 */
async function readTail(storage: Storage, after: TableSnapshot): Promise<TableSnapshot | undefined> {
  const [own, first] = await Promise.all([
    storage.get(commitPath(after.root, after.version), { start: 0, end: 1 }),
    readCommit(storage, after.root, after.version + 1),
  ])
  // Without its own version's file the snapshot may be of a table that was dropped and made again.
  if (!own) return undefined
  if (!first) return after
  const state = new TableState(after.root, after)
  let { version } = after
  let info: CommitInfo | undefined
  for (let actions: Action[] | undefined = first; actions; ) {
    state.apply(actions)
    version += 1
    info = commitInfoOf(actions)
    actions = await readCommit(storage, after.root, version + 1)
  }
  const writtenAtMs = info?.timestamp ?? after.timestampMs
  return state.snapshot(version, commitTimestamp(state.metadata?.configuration, info, writtenAtMs))
}
