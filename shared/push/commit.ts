import type { Clock } from '../core/clock.ts'
import { IngestError } from '../core/errors.ts'
import type { Json } from '../core/json.ts'
import type { Random } from '../core/random.ts'
import { readSnapshot } from '../delta/snapshot.ts'
import type { TableSnapshot } from '../delta/table.ts'
import { commitOnce, recover } from '../load/commit-once.ts'
import { commitLog } from '../load/target.ts'
import type { Queue } from '../queue/queue.ts'
import type { StateStore } from '../state/state-store.ts'
import { takeWriter, type Writer } from '../state/writers.ts'
import type { Storage } from '../storage/storage.ts'
import { addRange, addRanges, type Intervals, missingFrom, overlaps } from './intervals.ts'
import type { FlushedFile } from './open-files.ts'
import { committedRanges, noteCommitted, pushPartition } from './stored-sessions.ts'
import { rootOf } from './tables.ts'

export interface PushCommitPorts {
  storage: Storage
  state: StateStore
  queue: Queue
  clock: Clock
  random: Random
}

/**
 * The one owner of a table's push commits. What a commit added is remembered twice: as the writer's state, in the same
 * write that settles the commit, and then in the entry of each session, before the next commit is begun. A crash in
 * between repeats the second step, which changes nothing when it was done.
 *
 *     intent {ranges} -> log: files + txn -> settled {ranges} -> sessions' committed ranges -> queue records deleted
 */
export interface Committer {
  /**
   * Commits files as one version. A file that holds a record already in the table, or in another file of this call, is
   * left out: its queue records come again and are sorted out by the flush. Afterwards the queue records of committed
   * files are deleted.
   *
   * @throws IngestError; the outcome is then unknown until `openCommitter` is called again
   */
  commit(files: readonly FlushedFile[]): Promise<PushCommit>
}

export interface PushCommit {
  snapshot: TableSnapshot
  committed: readonly FlushedFile[]
  /** Left out; the staged file is garbage. */
  refused: readonly FlushedFile[]
}

type Ranges = Record<string, Intervals>

/** A commit's sessions at most: its ranges are one entry of the state store, written up to 16 times over. */
const MAX_SESSIONS = 200

const committerKey = (table: string) => ({ partition: pushPartition(table), sort: 'committer' })

/** Whether events were ever pushed into a table, declared or made by a session. */
export async function isPushed(table: string, state: StateStore): Promise<boolean> {
  return (await state.read(committerKey(table))) !== undefined
}

/** @throws IngestError `state.lease_held` (retry) while another process is taking the table */
export async function openCommitter(
  table: string,
  owner: string,
  ports: PushCommitPorts,
  /** An older version, if one is known: less of the log is read. */
  known?: TableSnapshot,
): Promise<Committer> {
  const writer: Writer<Json> = await takeWriter(ports.state, committerKey(table), `push:${table}`, owner)
  const first = await readSnapshot(ports.storage, rootOf(table), known ? { after: known } : {})
  if (!first) throw new IngestError('table.missing', `the table ${table} was dropped while it had events to store`)
  const log = commitLog(first, ports)
  let { snapshot } = await recover(writer, log, first)
  await noteCommitted(table, rangesOf(writer), ports)

  async function commitSome(files: readonly FlushedFile[]): Promise<PushCommit> {
    const { chosen, done, refused } = await choose(table, files, ports.state)
    if (chosen.length > 0) {
      const ranges = unionOf(chosen)
      snapshot = await commitOnce(writer, log, {
        next: ranges as unknown as Json,
        snapshot,
        changeOf: async () => ({
          operation: 'STREAMING UPDATE',
          operationParameters: { outputMode: 'Append', queryId: writer.id },
          add: chosen.flatMap((file) => (file.add ? [file.add] : [])),
          reads: 'nothing',
        }),
      })
      await noteCommitted(table, ranges, ports)
    }
    await ports.queue.delete([...chosen, ...done].flatMap((file) => file.receipts))
    return { snapshot, committed: chosen, refused }
  }

  return {
    async commit(files) {
      const committed: FlushedFile[] = []
      const refused: FlushedFile[] = []
      for (const some of bySessions(files)) {
        const result = await commitSome(some)
        committed.push(...result.committed)
        refused.push(...result.refused)
      }
      return { snapshot, committed, refused }
    },
  }
}

/** Sorts files by what the table already has of them: nothing, all, or a part. */
async function choose(table: string, files: readonly FlushedFile[], state: StateStore) {
  const known = new Map<string, Intervals>()
  const chosen: FlushedFile[] = []
  const done: FlushedFile[] = []
  const refused: FlushedFile[] = []
  for (const file of files) {
    const parts = Object.entries(file.ranges).flatMap(([session, set]) => set.map((range) => [session, range] as const))
    for (const [session] of parts)
      if (!known.has(session)) known.set(session, await committedRanges(table, session, state))
    if (parts.every(([session, [from, to]]) => missingFrom(known.get(session)!, from, to).length === 0)) {
      done.push(file)
    } else if (parts.some(([session, [from, to]]) => overlaps(known.get(session)!, from, to))) {
      refused.push(file)
    } else {
      chosen.push(file)
      for (const [session, [from, to]] of parts) known.set(session, addRange(known.get(session)!, from, to))
    }
  }
  return { chosen, done, refused }
}

/** Files in groups that one commit can remember. */
function bySessions(files: readonly FlushedFile[]): FlushedFile[][] {
  const groups: FlushedFile[][] = []
  let sessions = new Set<string>()
  for (const file of files) {
    const together = new Set([...sessions, ...Object.keys(file.ranges)])
    if (groups.length === 0 || together.size > MAX_SESSIONS) {
      groups.push([])
      sessions = new Set(Object.keys(file.ranges))
    } else sessions = together
    groups.at(-1)!.push(file)
  }
  return groups
}

function unionOf(files: readonly FlushedFile[]): Ranges {
  const union: Ranges = {}
  for (const file of files)
    for (const [session, set] of Object.entries(file.ranges)) union[session] = addRanges(union[session] ?? [], set)
  return union
}

function rangesOf(writer: Writer<Json>): Ranges {
  return (writer.current.state ?? {}) as unknown as Ranges
}
