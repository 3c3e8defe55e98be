import type { Clock } from '../core/clock.ts'
import { asIngestError, type IngestError } from '../core/errors.ts'
import type { Random } from '../core/random.ts'
import { planCompaction } from '../delta/plan-compaction.ts'
import { readSnapshot } from '../delta/snapshot.ts'
import { tableRoot } from '../delta/table-root.ts'
import { vacuum } from '../delta/vacuum.ts'
import type { Engine } from '../load/engine.ts'
import { optimizeTable } from '../load/optimize.ts'
import { vacuumHidden } from '../load/vacuum-hidden.ts'
import { type TableName, tableNameText } from '../pipeline/table-name.ts'
import { isPushed } from '../push/commit.ts'
import type { StateStore } from '../state/state-store.ts'
import type { Storage } from '../storage/storage.ts'

export interface MaintainPorts {
  storage: Storage
  state: StateStore
  clock: Clock
  random: Random
  /** Opened for the first table that has files to join. */
  engine: () => Promise<Engine>
  signal?: AbortSignal
}

/** What was done for one table; with `error` it is left for the next time. */
export interface Maintained {
  table: string
  filesJoined: number
  filesWritten: number
  filesDeleted: number
  error?: IngestError
}

export interface MaintainOptions {
  /** No further table is begun after this, in milliseconds since the epoch. */
  deadlineMs?: number
}

/** A pushed table with this many small files is read noticeably slower than one with few. */
const SMALL_FILES = 32
const VACUUM_EVERY_MS = 86_400_000
const WEEK_MS = 7 * 86_400_000

/**
 * Joins the small files of pushed tables, and once a day deletes what no version within the retention needs of any table.
 * Tables come in another order each time, so that a deadline passes over none for ever. Tables of pipelines are joined by
 * their own runs. Yields what was done where something was.
 */
export async function* maintainTables(
  tables: readonly TableName[],
  ports: MaintainPorts,
  { deadlineMs }: MaintainOptions = {},
): AsyncGenerator<Maintained> {
  const waiting = [...tables]
  while (waiting.length > 0) {
    if (ports.signal?.aborted || (deadlineMs !== undefined && ports.clock.now() >= deadlineMs)) return
    const [name] = waiting.splice(Math.floor(ports.random.next() * waiting.length), 1) as [TableName]
    const done: Maintained = { table: tableNameText(name), filesJoined: 0, filesWritten: 0, filesDeleted: 0 }
    try {
      // Each flush of events adds a file, and nobody else joins them.
      if (await isPushed(done.table, ports.state)) await join(name, ports, done)
      await clear(name, ports, done)
    } catch (cause) {
      if (ports.signal?.aborted) return
      done.error = asIngestError(cause)
    }
    if (done.filesJoined > 0 || done.filesDeleted > 0 || done.error) yield done
  }
}

async function join(name: TableName, ports: MaintainPorts, done: Maintained): Promise<void> {
  const root = tableRoot(name)
  const table = await readSnapshot(ports.storage, root)
  // A declared table is made by its first event.
  if (!table || planCompaction(table, { smallFileCount: SMALL_FILES }).length === 0) return
  const options = { smallFileCount: SMALL_FILES }
  const result = await optimizeTable(root, { ...ports, engine: await ports.engine() }, options)
  done.filesJoined = result.filesRemoved
  done.filesWritten = result.filesAdded
}

async function clear(name: TableName, ports: MaintainPorts, done: Maintained): Promise<void> {
  const { storage, state, clock } = ports
  const key = { partition: 'maintenance', sort: tableNameText(name) }
  const entry = await state.read(key)
  const { vacuumedAtMs } = (entry?.value ?? { vacuumedAtMs: 0 }) as { vacuumedAtMs: number }
  if (clock.now() - vacuumedAtMs < VACUUM_EVERY_MS) return
  const root = tableRoot(name)
  const { deleted } = await vacuum(storage, root, { clock })
  const table = await readSnapshot(storage, root)
  const hidden = table ? await vacuumHidden(storage, table, { clock }, { retentionMs: WEEK_MS }) : []
  done.filesDeleted = deleted.length + hidden.length
  // Whoever was first wrote it down; a second vacuum finds nothing.
  await state.write([{ ...key, value: { vacuumedAtMs: clock.now() }, expect: entry?.version ?? 'absent' }])
}
