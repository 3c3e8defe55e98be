import type { Json } from '../core/json.ts'
import type { EntryKey, EntryWrite, StateStore } from './state-store.ts'
import { ownedByAnother } from './writers.ts'

/** The durable place of one stream of one pipeline. `stream` is its destination's name, which is unique in a pipeline. */
export interface StreamKey {
  pipeline: string
  stream: string
}

/** What the settled commits of a stream add up to: the state of its writer. */
export type StreamState = {
  /** Everything up to here is in the table. Null for a stream that is read whole each time. */
  cursor: Json
  /** The way of reading that the cursor belongs to: another way cannot go on from it. */
  reading: string
  /** The full copy that the table began with. */
  loadId: string
  loadedAtMs: number
  /** When all keys of the source were last compared, to find deletes. */
  sweptAtMs?: number
}

/** A full copy in progress: it survives the process, so that an interrupted one goes on where it was. */
export interface Load {
  id: string
  /** The stream's newest final cursor when the copy began; null for a stream that has none. */
  cutoff: Json
  pieces: number
  /** What was selected. A copy of another selection cannot go on. */
  fingerprint: string
  startedAtMs: number
  /** How its files are written. */
  plan: Json
}

/** One piece of a full copy. */
export interface Piece {
  n: number
  /** What is left to read; null when all of it is staged. */
  rest: Json
  done: boolean
  /** Names of its staged files. Every one is durable, and has an entry of its own. */
  files: readonly string[]
  rows: number
  rejected: number
  /** Of the entry: it moves only for the owner that read it. */
  version: number
}

const MAX_WRITES = 25

export const writerKey = ({ pipeline, stream }: StreamKey): EntryKey => ({
  partition: `pipeline/${pipeline}`,
  sort: `writer/${encodeURIComponent(stream)}`,
})

/** The `appId` of a stream's commits. */
export const writerId = ({ pipeline, stream }: StreamKey): string => `lakeflow/${pipeline}/${stream}`

const loadKey = ({ pipeline, stream }: StreamKey): EntryKey => ({
  partition: `pipeline/${pipeline}`,
  sort: `load/${encodeURIComponent(stream)}`,
})
const pieceKey = ({ pipeline, stream }: StreamKey, loadId: string, n: number): EntryKey => ({
  partition: `pipeline/${pipeline}`,
  sort: `piece/${encodeURIComponent(stream)}/${loadId}/${String(n).padStart(8, '0')}`,
})
const stagedKey = ({ pipeline, stream }: StreamKey, loadId: string, file: string): EntryKey => ({
  partition: `pipeline/${pipeline}`,
  sort: `staged/${encodeURIComponent(stream)}/${loadId}/${file}`,
})

const dueKey = ({ pipeline, stream }: StreamKey): EntryKey => ({
  partition: `pipeline/${pipeline}`,
  sort: `refresh/${encodeURIComponent(stream)}`,
})

/** A full refresh that could not begin when it was due. `resync`: nobody asked for it. */
export type DueRefresh = { sinceMs: number; resync: boolean }

export async function readDueRefresh(store: StateStore, key: StreamKey): Promise<DueRefresh | undefined> {
  return (await store.read(dueKey(key)))?.value as DueRefresh | undefined
}

export async function saveDueRefresh(store: StateStore, key: StreamKey, due: DueRefresh): Promise<void> {
  await store.write([{ ...dueKey(key), value: due, expect: 'any' }])
}

/** The full copy in progress, if any. */
export async function readLoad(store: StateStore, key: StreamKey): Promise<Load | undefined> {
  return (await store.read(loadKey(key)))?.value as Load | undefined
}

/** Begins a full copy. Its pieces are durable before the copy itself is, so a copy that can be read has all of them. */
export async function beginLoad(
  store: StateStore,
  key: StreamKey,
  load: Omit<Load, 'pieces'>,
  pieces: readonly Json[],
): Promise<Load> {
  const started = { ...load, pieces: pieces.length }
  const entries = pieces.map((rest, n) => ({
    ...pieceKey(key, load.id, n),
    value: { rest, done: false, files: [], rows: 0, rejected: 0 },
    expect: 'any' as const,
  }))
  await writeAll(store, entries)
  await store.write([{ ...loadKey(key), value: started as unknown as Json, expect: 'any' }])
  return started
}

export async function readPieces(store: StateStore, key: StreamKey, load: Load): Promise<Piece[]> {
  const { partition, sort } = pieceKey(key, load.id, 0)
  const entries = await store.list(partition, { prefix: sort.slice(0, -8) })
  return entries.map(({ value, version }, n) => ({ ...(value as unknown as Piece), n, version }))
}

/**
 * Records progress of a piece: files that are durable, and what is left after them. Changes `piece` to what is stored.
 *
 * @throws IngestError `state.lease_held` (retry) when another owner moved the piece
 */
export async function savePiece(
  store: StateStore,
  key: StreamKey,
  load: Load,
  piece: Piece,
  progress: {
    rest: Json
    done: boolean
    rows: number
    rejected: number
    files: readonly { name: string; file: Json }[]
  },
): Promise<void> {
  await writeAll(
    store,
    progress.files.map(({ name, file }) => ({ ...stagedKey(key, load.id, name), value: file, expect: 'any' })),
  )
  const next = {
    rest: progress.rest,
    done: progress.done,
    files: [...piece.files, ...progress.files.map(({ name }) => name)],
    rows: piece.rows + progress.rows,
    rejected: piece.rejected + progress.rejected,
  }
  const versions = await store.write([{ ...pieceKey(key, load.id, piece.n), value: next, expect: piece.version }])
  if (!versions) throw ownedByAnother({ id: writerId(key) })
  Object.assign(piece, next, { version: versions[0] })
}

/** The staged files that pieces name, in the order of pieces. */
export async function readStaged<T>(
  store: StateStore,
  key: StreamKey,
  load: Load,
  pieces: readonly Piece[],
): Promise<T[]> {
  const { partition, sort } = stagedKey(key, load.id, '')
  const byName = new Map<string, Json>()
  for (const entry of await store.list(partition, { prefix: sort }))
    byName.set(entry.sort.slice(sort.length), entry.value)
  return pieces.flatMap((piece) => piece.files.map((name) => byName.get(name) as T))
}

/** Forgets a full copy, once it is committed or given up. Its staged files are then in the log, or vacuum's. */
export async function forgetLoad(store: StateStore, key: StreamKey): Promise<void> {
  const { partition, sort } = loadKey(key)
  const stream = encodeURIComponent(key.stream)
  // The copy goes first: its pieces alone are never taken for one.
  await store.write([{ partition, sort, remove: true, expect: 'any' }])
  for (const prefix of [`piece/${stream}/`, `staged/${stream}/`]) {
    const entries = await store.list(partition, { prefix })
    await writeAll(
      store,
      entries.map((entry) => ({ partition, sort: entry.sort, remove: true, expect: 'any' })),
    )
  }
}

/** Writes any number of entries that need not change together. */
async function writeAll(store: StateStore, writes: readonly EntryWrite[]): Promise<void> {
  for (let i = 0; i < writes.length; i += MAX_WRITES) await store.write(writes.slice(i, i + MAX_WRITES))
}
