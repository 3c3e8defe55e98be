import { createBatchWriter } from '../../shared/columnar/parquet-writer.ts'
import type { Row } from '../../shared/core/change.ts'
import { invariant } from '../../shared/core/errors.ts'
import type { Random } from '../../shared/core/random.ts'
import type { AddFile } from '../../shared/delta/actions.ts'
import { type CommitPorts, createTable } from '../../shared/delta/commit.ts'
import { type NewTableOptions, newTable } from '../../shared/delta/new-table.ts'
import { addFile } from '../../shared/delta/stats.ts'
import type { CommitResult, TableSnapshot } from '../../shared/delta/table.ts'
import type { Field, LogicalType, Schema } from '../../shared/schema/types.ts'
import { memoryStorage } from '../../shared/storage/memory.ts'
import type { Storage } from '../../shared/storage/storage.ts'

/** Randomness that repeats: the same seed gives the same run. */
export function seededRandom(seed = 1): Random {
  let state = seed >>> 0
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
  const hex = (digits: number) => Array.from({ length: digits }, () => Math.floor(next() * 16).toString(16)).join('')
  return { next, uuid: () => `${hex(8)}-${hex(4)}-4${hex(3)}-8${hex(3)}-${hex(12)}` }
}

/** Ports of a commit over one storage, with a clock that moves on by a second a look and never waits. */
export function testPorts(storage: Storage = memoryStorage(), seed = 1, startMs = Date.UTC(2026, 0, 1)): CommitPorts {
  let now = startMs
  return {
    storage,
    random: seededRandom(seed),
    clock: {
      now: () => (now += 1000),
      async sleep() {
        await Promise.resolve()
      },
    },
  }
}

export const column = (name: string, kind: LogicalType['kind'] | LogicalType = 'long', nullable = true): Field => ({
  name,
  type: typeof kind === 'string' ? ({ kind } as LogicalType) : kind,
  nullable,
})

export const shopSchema: Schema = { fields: [column('id', 'long', false), column('name', 'string')] }

/** A new, empty table. */
export async function emptyTable(
  ports: CommitPorts,
  { root = 'shop', schema = shopSchema, ...options }: NewTableOptions & { root?: string; schema?: Schema } = {},
): Promise<TableSnapshot> {
  return committed(await createTable(root, newTable(schema, ports, options), ports))
}

/** The log entry of a file that need not be there. */
export const logEntry = (path: string, more: Partial<AddFile> = {}): AddFile => ({
  path,
  partitionValues: {},
  size: 100,
  modificationTime: 1,
  dataChange: true,
  ...more,
})

/** Writes rows as one data file of a table through the columnar writer, and returns its log entry. */
export async function dataFile(
  table: TableSnapshot,
  rows: readonly Row[],
  { storage, random, clock }: CommitPorts,
  partitionValues: Record<string, string | null> = {},
): Promise<AddFile> {
  const fields = table.schema.fields.filter(({ name }) => !table.metadata.partitionColumns.includes(name))
  const writer = createBatchWriter({ fields })
  writer.appendRows(rows)
  const rejected = writer.takeRejected()
  invariant(rejected.length === 0, `rows do not fit: ${JSON.stringify(rejected)}`)
  const file = writer.finish()
  const name = `part-${random.uuid()}.parquet`
  await storage.put(`${table.root}/${name}`, Buffer.concat(writer.take()))
  return addFile(name, file, { fields }, table.metadata, { modificationTimeMs: clock.now(), partitionValues })
}

export function committed(result: CommitResult): TableSnapshot {
  invariant(result.kind === 'committed', `expected a commit, got ${JSON.stringify(result)}`)
  return result.snapshot
}

export const text = (bytes: Uint8Array | undefined): string => new TextDecoder().decode(bytes)
export const bytes = (value: string): Uint8Array => new TextEncoder().encode(value)
