import type { Clock } from '../core/clock.ts'
import { IngestError, invariant } from '../core/errors.ts'
import type { Random } from '../core/random.ts'
import type { Storage } from '../storage/storage.ts'
import type { Action, AddFile, CommitInfo, RemoveFile } from './actions.ts'
import { checkpointDue, unexpiredTombstones, writeLogCheckpoint } from './checkpoint.ts'
import { writeChecksum } from './checksum.ts'
import { logicalSchema } from './column-mapping.ts'
import { commitInfoOf, hasInCommitTimestamps, readCommit } from './commit-info.ts'
import { judge } from './conflicts.ts'
import { checkMayRemove, checkReadable, checkWritable } from './features.ts'
import { commitPath } from './log-files.ts'
import { encodeActions } from './log-text.ts'
import { readSnapshot } from './snapshot.ts'
import type { CommitResult, TableChange, TableSnapshot } from './table.ts'
import { advance, TableState } from './table-state.ts'

export interface CommitPorts {
  storage: Storage
  clock: Clock
  random: Random
  signal?: AbortSignal
}

/** Named in every commit, so that people see who wrote it. */
export const ENGINE_INFO = 'lakeflow-connect/0.1.0'

/** A blind append loses at most this many races before it gives up as `table.contended`. */
const MAX_ATTEMPTS = 40
const BACKOFF_MS = 20
const MAX_BACKOFF_MS = 2_000
/** How often one log file is tried while storage does not say whether it took it. */
const MAX_UNKNOWN = 4

/**
 * Commits a change as the next version of the table `base` was read from.
 *
 * The whole change becomes visible at once or not at all. A writer that got there first is not an error: the change is
 * laid on top of the newer versions where the conflict rules allow, and comes back as `conflict` where they do not. A
 * change whose `txn` is in the log already is a `duplicate`: calling again after an unknown outcome is safe.
 *
 *   v7 ---- v8 (other writer) ---- v9 (this commit)
 *    \_ base                        \_ blind append: moved here, same files, no new upload
 *
 * After the commit the version's checksum is written, and every tenth version a log checkpoint; both are only for
 * speed, so their failure is not this commit's.
 *
 * @throws IngestError `storage.unavailable` or `table.contended` (retry), `table.unsupported_feature` (fix)
 */
export async function commit(base: TableSnapshot, change: TableChange, ports: CommitPorts): Promise<CommitResult> {
  const done = base.txns.get(change.txn?.appId ?? '')
  if (change.txn && done && done.version >= change.txn.version) return { kind: 'duplicate', version: base.version }
  checkChange(base, change)
  const txnId = ports.random.uuid()
  let current = base
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    ports.signal?.throwIfAborted()
    const version = current.version + 1
    const actions = actionsFor(current, change, txnId, ports.clock.now())
    const winner = await putCommit(current.root, version, actions, txnId, ports)
    if (winner === undefined) {
      const next = advance(current, actions, version, commitTime(actions))
      return { kind: 'committed', snapshot: await writeAfterCommit(next, actions, ports) }
    }
    // Others may be further ahead than one version: lay the change on top of all of them at once.
    for (let newer: Action[] | undefined = winner; newer; ) {
      const verdict = judge(change, newer)
      const at = current.version + 1
      if (verdict.kind === 'duplicate') return { kind: 'duplicate', version: at }
      if (verdict.kind === 'conflict') return { kind: 'conflict', version: at, reason: verdict.reason }
      current = advance(current, newer, at, commitTime(newer))
      newer = await readCommit(ports.storage, current.root, at + 1)
    }
    // Full jitter: writers that lost together do not come back together.
    const ceiling = Math.min(MAX_BACKOFF_MS, BACKOFF_MS * 2 ** attempt)
    await ports.clock.sleep(ports.random.next() * ceiling, ports.signal)
  }
  throw new IngestError(
    'table.contended',
    `${MAX_ATTEMPTS} attempts to write the next version of the table ${base.root} were each overtaken by another writer`,
  )
}

/**
 * Makes a table: the change is its version 0 and must hold protocol and metadata. A table that is there already is a
 * `conflict`, or a `duplicate` when its log has the change's `txn`.
 *
 * @throws IngestError `storage.unavailable` (retry)
 */
export async function createTable(root: string, change: TableChange, ports: CommitPorts): Promise<CommitResult> {
  const { protocol, metadata } = change
  invariant(protocol && metadata, 'a new table needs protocol and metadata')
  checkReadable(protocol, root)
  checkWritable(protocol, metadata, logicalSchema(metadata, root), root)
  const txnId = ports.random.uuid()
  const actions = actionsFor(undefined, change, txnId, ports.clock.now())
  const existing = await readSnapshot(ports.storage, root)
  const winner = existing ? [] : await putCommit(root, 0, actions, txnId, ports)
  if (winner === undefined) {
    const state = new TableState(root)
    state.apply(actions)
    const snapshot = state.snapshot(0, commitTime(actions))
    return { kind: 'committed', snapshot: await writeAfterCommit(snapshot, actions, ports) }
  }
  const table = existing ?? (await readSnapshot(ports.storage, root))
  const done = change.txn && table?.txns.get(change.txn.appId)
  if (table && done && done.version >= change.txn!.version) return { kind: 'duplicate', version: table.version }
  return { kind: 'conflict', version: table?.version ?? 0, reason: 'the table exists already' }
}

/** Promises of the table that a change must keep, whatever version it lands on. */
function checkChange(base: TableSnapshot, change: TableChange) {
  const protocol = change.protocol ?? base.protocol
  const metadata = change.metadata ?? base.metadata
  const schema = change.metadata ? logicalSchema(change.metadata, base.root) : base.schema
  checkReadable(protocol, base.root)
  checkWritable(protocol, metadata, schema, base.root)
  if (change.remove?.length && change.reads !== 'files') checkMayRemove(metadata, base.root)
}

/** Puts a version's file. Undefined: it is ours. Otherwise the actions of whoever was first. */
async function putCommit(
  root: string,
  version: number,
  actions: readonly Action[],
  txnId: string,
  { storage, clock, random, signal }: CommitPorts,
): Promise<Action[] | undefined> {
  const path = commitPath(root, version)
  const bytes = encodeActions(actions)
  for (let attempt = 1; ; attempt++) {
    try {
      if (await storage.putIfAbsent(path, bytes)) return undefined
      const winner = await readCommit(storage, root, version)
      invariant(winner, `${path} exists and cannot be read`)
      return commitInfoOf(winner)?.txnId === txnId ? undefined : winner
    } catch (error) {
      // The outcome is unknown. The same bytes at the same version are tried again, so whichever try lands is this
      // commit; no other version is tried before this one is settled.
      if (!(error instanceof IngestError) || error.remedy !== 'retry' || attempt === MAX_UNKNOWN) throw error
      await clock.sleep(random.next() * BACKOFF_MS * 2 ** attempt, signal)
    }
  }
}

function actionsFor(current: TableSnapshot | undefined, change: TableChange, txnId: string, nowMs: number): Action[] {
  const metadata = change.metadata ?? current?.metadata
  const info: CommitInfo = {
    ...(hasInCommitTimestamps(metadata?.configuration)
      ? { inCommitTimestamp: Math.max(nowMs, (current?.timestampMs ?? 0) + 1) }
      : {}),
    timestamp: nowMs,
    operation: change.operation,
    operationParameters: textValues(change.operationParameters ?? {}),
    ...(current ? { readVersion: current.version } : {}),
    isolationLevel: change.reads === 'files' ? 'SnapshotIsolation' : 'Serializable',
    isBlindAppend: change.reads === 'nothing' && !change.remove?.length,
    engineInfo: ENGINE_INFO,
    txnId,
  }
  const dataChange = change.reads !== 'files'
  return [
    { commitInfo: info },
    ...(change.protocol ? [{ protocol: change.protocol }] : []),
    ...(change.metadata ? [{ metaData: change.metadata }] : []),
    ...(change.txn ? [{ txn: { lastUpdated: nowMs, ...change.txn } }] : []),
    ...(change.domainMetadata ?? []).map((domainMetadata) => ({ domainMetadata })),
    ...(change.remove ?? []).map((file) => ({ remove: tombstone(file, nowMs, dataChange) })),
    ...(change.add ?? []).map((add) => ({ add: dataChange ? add : { ...add, dataChange: false } })),
    ...(change.cdc ?? []).map((cdc) => ({ cdc })),
  ]
}

function tombstone(file: AddFile, nowMs: number, dataChange: boolean): RemoveFile {
  return {
    path: file.path,
    deletionTimestamp: nowMs,
    dataChange,
    extendedFileMetadata: true,
    partitionValues: file.partitionValues,
    size: file.size,
    ...(file.stats === undefined ? {} : { stats: file.stats }),
    ...(file.tags == null ? {} : { tags: file.tags }),
    ...(file.deletionVector ? { deletionVector: file.deletionVector } : {}),
    ...(file.baseRowId === undefined ? {} : { baseRowId: file.baseRowId }),
    ...(file.defaultRowCommitVersion === undefined ? {} : { defaultRowCommitVersion: file.defaultRowCommitVersion }),
  }
}

/** Other engines read the parameters as a map of strings, and lists as JSON inside them. */
function textValues(parameters: Readonly<Record<string, unknown>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(parameters).map(([name, value]) => [
      name,
      typeof value === 'string' ? value : JSON.stringify(value),
    ]),
  )
}

function commitTime(actions: readonly Action[]): number {
  const info = commitInfoOf(actions)
  return info?.inCommitTimestamp ?? info?.timestamp ?? 0
}

async function writeAfterCommit(
  table: TableSnapshot,
  actions: readonly Action[],
  { storage, clock }: CommitPorts,
): Promise<TableSnapshot> {
  const due = checkpointDue(table)
  // What has expired is not in the checkpoint: a long-lived snapshot need not carry it either.
  const kept = due ? { ...table, tombstones: unexpiredTombstones(table, clock.now()) } : table
  try {
    await writeChecksum(storage, table, commitInfoOf(actions))
    if (due) await writeLogCheckpoint(storage, kept, clock.now())
  } catch (error) {
    // The commit stands. A missing checksum costs a reader nothing but speed, and the next checkpoint makes up for this one.
    if (!(error instanceof IngestError) || !error.code.startsWith('storage.')) throw error
  }
  return kept
}
