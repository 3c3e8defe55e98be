import { IngestError, invariant } from '../core/errors.ts'
import type { Json } from '../core/json.ts'
import type { CommitResult, TableChange, TableSnapshot } from '../delta/table.ts'
import { ownedByAnother, saveWriter, type Writer } from '../state/writers.ts'

/** The one table a writer writes to: its log, bound to a storage and a root. */
export interface CommitLog {
  /** The newest version. */
  read(): Promise<TableSnapshot>
  /** Lays the change on top of `snapshot` or a newer version that allows it. */
  commit(snapshot: TableSnapshot, change: TableChange): Promise<CommitResult>
}

export interface Commit<S extends Json> {
  /** What holds once the commit is in the log. */
  next: S
  /** The newest version known. Read when left out. */
  snapshot?: TableSnapshot
  /** What to change, computed from the snapshot; called again with a newer one after a conflict. `txn` is set here. */
  changeOf(snapshot: TableSnapshot): Promise<TableChange>
}

const MAX_CONFLICTS = 20
/** Intents that no commit has decided are kept; past this many, an empty commit decides them. */
const MAX_PENDING = 16

/**
 * Brings a writer and its table into step, after whatever happened to the last owner: an intent whose number the log
 * holds is settled; any other stays pending until a later number is in the log, since a stalled owner may still commit
 * it. `reset` is true when log and state have no common past (the state was lost, or the table restored): the state is
 * then null, and the stream must be copied again. `snapshot` is the newest version, to commit on; `known`, one that was
 * read since the writer was taken, saves the look for it.
 *
 * @throws IngestError `state.lease_held` (retry) when the writer has another owner by now
 */
export async function recover<S extends Json>(
  writer: Writer<S>,
  log: CommitLog,
  known?: TableSnapshot,
): Promise<{ reset: boolean; snapshot: TableSnapshot }> {
  const snapshot = known ?? (await log.read())
  const { seq, issued, pending } = writer.current
  const logged = loggedSeq(writer, snapshot)
  if (logged !== seq) {
    const landed = pending.find((intent) => intent.seq === logged)
    if (!landed) {
      await saveWriter(writer, {
        owner: writer.owner,
        seq: logged,
        issued: Math.max(issued, logged),
        state: null,
        pending: [],
      })
      return { reset: true, snapshot }
    }
    await settle(writer, landed.seq, landed.next)
  } else if (pending.length >= MAX_PENDING && writer.current.state !== null) {
    const decided = await commitOnce(writer, log, {
      next: writer.current.state,
      snapshot,
      changeOf: async () => ({ operation: 'STREAMING UPDATE', reads: 'nothing' }),
    })
    return { reset: false, snapshot: decided }
  }
  return { reset: false, snapshot }
}

/**
 * One commit that happens exactly once, whatever crashes: intent in the state store, commit with `txn` in the log,
 * settled in the state store (docs/exactly-once.md). Resolves when all three are durable. After an error the outcome is
 * unknown; `recover` decides it.
 *
 * @throws IngestError `state.lease_held` (retry) when the writer has another owner by now
 * @throws IngestError `table.contended` (retry) when other writers won every time
 */
export async function commitOnce<S extends Json>(
  writer: Writer<S>,
  log: CommitLog,
  commit: Commit<S>,
): Promise<TableSnapshot> {
  let snapshot = commit.snapshot ?? (await log.read())
  // The change may take minutes to compute; it is computed before the intent, so that few crashes leave one behind.
  let change = await commit.changeOf(snapshot)
  const seq = await intend(writer, commit.next)

  for (let conflicts = 0; conflicts <= MAX_CONFLICTS; conflicts++) {
    const logged = loggedSeq(writer, snapshot)
    if (logged === seq) return await settled(snapshot)
    if (logged !== writer.current.seq) throw ownedByAnother(writer)

    const result = await log.commit(snapshot, { ...change, txn: { appId: writer.id, version: seq } })
    if (result.kind === 'committed') return await settled(result.snapshot)
    snapshot = await log.read()
    // A number is given out once, so a log that has it has this very commit: its reply was lost.
    if (loggedSeq(writer, snapshot) === writer.current.seq) change = await commit.changeOf(snapshot)
  }
  throw new IngestError(
    'table.contended',
    `other writers of ${snapshot.root} won the race for the next version ${MAX_CONFLICTS} times`,
  )

  async function settled(at: TableSnapshot): Promise<TableSnapshot> {
    await settle(writer, seq, commit.next)
    return at
  }
}

/** Step 1: what holds if the commit gets into the log is durable before the log is touched. */
async function intend<S extends Json>(writer: Writer<S>, next: S): Promise<number> {
  const seq = writer.current.issued + 1
  await saveWriter(writer, { ...writer.current, issued: seq, pending: [...writer.current.pending, { seq, next }] })
  return seq
}

/** Step 3. Intents before and after are void: they were made on top of an older number than the log now has. */
async function settle<S extends Json>(writer: Writer<S>, seq: number, state: S): Promise<void> {
  invariant(seq <= writer.current.issued, `commit ${seq} of ${writer.id} was never intended`)
  await saveWriter(writer, { ...writer.current, seq, state, pending: [] })
}

function loggedSeq<S extends Json>(writer: Writer<S>, snapshot: TableSnapshot): number {
  return snapshot.txns.get(writer.id)?.version ?? 0
}
