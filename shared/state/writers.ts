import { IngestError } from '../core/errors.ts'
import type { Json } from '../core/json.ts'
import type { Entry, EntryKey, StateStore } from './state-store.ts'

/**
 * What a writer of one table has durably done, and what it may have done: one entry of the state store, so that a
 * cursor moves in the same write that settles its commit. `S` is what the commits add up to: a cursor, offset ranges.
 */
export interface WriterState<S extends Json> {
  /** The process that owns the writer. Each new owner writes itself here, which stops the old one's next write. */
  owner: string
  /** Number of the last settled commit, 0 before the first. The table's `txn` for this writer is the same number. */
  seq: number
  /** The highest number ever given to an intent. None is given twice. */
  issued: number
  /** What holds after commit `seq`; null before the first. */
  state: S | null
  /**
   * Intents whose commit is not known to be in the log nor known to be out of it. Each was made on top of `seq`, so at
   * most one of them is ever in the log.
   */
  pending: readonly Intent<S>[]
}

export interface Intent<S extends Json> {
  seq: number
  /** What holds when this commit is in the log. */
  next: S
}

/** A writer as its owner last saw it. `save` keeps it current. */
export interface Writer<S extends Json> {
  /** The `appId` of its commits. */
  readonly id: string
  readonly store: StateStore
  readonly key: EntryKey
  readonly owner: string
  current: WriterState<S>
  /** Version of the entry that holds `current`; 0 when there is none yet. */
  version: number
}

/**
 * Makes `owner` the owner of the writer. Whoever owned it before fails at its next write.
 *
 * @throws IngestError `state.lease_held` (retry) when another process takes it at the same moment
 */
export async function takeWriter<S extends Json>(
  store: StateStore,
  key: EntryKey,
  id: string,
  owner: string,
): Promise<Writer<S>> {
  const entry = await store.read(key)
  const current = entry ? stateOf<S>(entry) : { owner, seq: 0, issued: 0, state: null, pending: [] }
  const writer: Writer<S> = { id, store, key, owner, current, version: entry?.version ?? 0 }
  await saveWriter(writer, { ...current, owner })
  return writer
}

/**
 * Replaces the writer's state, or changes nothing.
 *
 * @throws IngestError `state.lease_held` (retry) when the writer has another owner by now
 */
export async function saveWriter<S extends Json>(writer: Writer<S>, next: WriterState<S>): Promise<void> {
  const expect = writer.version === 0 ? 'absent' : writer.version
  const value = next as unknown as Json
  const versions = await writer.store.write([{ ...writer.key, value, expect }])
  if (!versions) throw ownedByAnother(writer)
  writer.current = next
  writer.version = versions[0]!
}

/** The writer's state without owning it; undefined before its first run. */
export async function readWriter<S extends Json>(
  store: StateStore,
  key: EntryKey,
): Promise<WriterState<S> | undefined> {
  const entry = await store.read(key)
  return entry && stateOf<S>(entry)
}

export function ownedByAnother(writer: { id: string }): IngestError {
  return new IngestError(
    'state.lease_held',
    `another process took over ${writer.id}; this one stops, and the other goes on from the same cursor`,
  )
}

function stateOf<S extends Json>(entry: Entry): WriterState<S> {
  const value = entry.value as unknown as Partial<WriterState<S>> | null
  const known =
    typeof value === 'object' &&
    value !== null &&
    typeof value.owner === 'string' &&
    Number.isSafeInteger(value.seq) &&
    Number.isSafeInteger(value.issued) &&
    Array.isArray(value.pending)
  if (!known)
    throw new IngestError('state.invalid', `the stored state of ${entry.sort} is not of a form this version knows`)
  return value as WriterState<S>
}
