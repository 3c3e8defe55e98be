import { randomUUID } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../../shared/core/clock.ts'
import { systemRandom } from '../../shared/core/random.ts'
import { commit, createTable } from '../../shared/delta/commit.ts'
import { newTable } from '../../shared/delta/new-table.ts'
import { readSnapshot } from '../../shared/delta/snapshot.ts'
import type { TableSnapshot } from '../../shared/delta/table.ts'
import { ABSENT, changeSchema, DELETED, type StagedFile } from '../../shared/load/changes.ts'
import type { Engine } from '../../shared/load/engine.ts'
import { type MergeResult, type MergeSpec, merge } from '../../shared/load/merge.ts'
import { columns, literal, quoted, sqlType } from '../../shared/load/sql.ts'
import { openWorkspace, storedNames, tableRows } from '../../shared/load/workspace.ts'
import { parseTypeText } from '../../shared/schema/type-text.ts'
import type { Schema } from '../../shared/schema/types.ts'
import type { Storage } from '../../shared/storage/storage.ts'

/** A change as a test writes it: the row, or the key of a delete. */
export interface TestChange {
  row: Record<string, unknown>
  deleted?: boolean
  absent?: string[]
}

export const put = (row: Record<string, unknown>, absent?: string[]): TestChange => ({ row, ...(absent && { absent }) })
export const gone = (row: Record<string, unknown>): TestChange => ({ row, deleted: true })

/** `{ id: 'long' }` as a schema of nullable columns. */
export const schemaOf = (types: Record<string, string>): Schema => ({
  fields: Object.entries(types).map(([name, type]) => ({ name, type: parseTypeText(type), nullable: true })),
})

/** A real table in a storage, with the steps a checkpoint takes: stage, merge, commit. */
export interface MergeTable {
  readonly root: string
  snapshot(): Promise<TableSnapshot>
  stage(changes: readonly TestChange[]): Promise<StagedFile>
  merge(batches: readonly (readonly TestChange[])[], spec: MergeSpec): Promise<MergeResult>
  /** Merge and commit one checkpoint. */
  apply(changes: readonly TestChange[], spec: MergeSpec): Promise<MergeResult>
  /** All rows by DuckDB, bigint as number, in order of the columns named. */
  rows(...orderBy: string[]): Promise<Record<string, unknown>[]>
}

export interface MergeTableOptions {
  storage: Storage
  engine: Engine
  clock: Clock
  properties?: Record<string, string>
}

export async function mergeTable(
  root: string,
  schema: Schema,
  { storage, engine, clock, properties }: MergeTableOptions,
): Promise<MergeTable> {
  const ports = { storage, clock, random: systemRandom }
  if (!(await readSnapshot(storage, root))) {
    await createTable(root, newTable(schema, ports, properties ? { properties } : {}), ports)
  }
  const snapshot = async () => (await readSnapshot(storage, root))!

  const table: MergeTable = {
    root,
    snapshot,
    async stage(changes) {
      return stageChanges(engine, storage, `${root}/staged-${randomUUID()}.parquet`, (await snapshot()).schema, changes)
    },
    async merge(batches, spec) {
      const staged = []
      for (const batch of batches) staged.push(await table.stage(batch))
      return merge(await snapshot(), staged, spec, { ...ports, engine })
    },
    async apply(changes, spec) {
      const result = await table.merge([changes], spec)
      const done = await commit(await snapshot(), result.change, ports)
      if (done.kind !== 'committed') throw new Error(`not committed: ${done.kind}`)
      return result
    },
    async rows(...orderBy) {
      const current = await snapshot()
      return engine.session(async (session) => {
        const work = await openWorkspace(session, current, ports)
        const rows = await session.rows(
          `select ${columns(storedNames(work))} from ${await tableRows(work, [...current.files.values()])} order by ${columns(orderBy)}`,
        )
        return rows.map(plain)
      })
    },
  }
  return table
}

/** Writes changes as one staged file, as the waist would. */
export async function stageChanges(
  engine: Engine,
  storage: Storage,
  path: string,
  schema: Schema,
  changes: readonly TestChange[],
): Promise<StagedFile> {
  return engine.session(async (session) => {
    const fields = changeSchema(schema).fields
    const source = join(session.folder, 'changes.json')
    const target = join(session.folder, 'changes.parquet')
    const lines = changes.map(({ row, deleted, absent }) =>
      JSON.stringify({ ...row, [DELETED]: deleted ?? null, [ABSENT]: absent ?? null }),
    )
    await writeFile(source, `${lines.join('\n')}\n`)
    const types = fields.map((field) => `${literal(field.name)}: ${literal(sqlType(field.type))}`).join(', ')
    await session.run('set threads = 1')
    await session.run('set preserve_insertion_order = true')
    await session.run(
      `copy (select ${fields.map(({ name }) => quoted(name))} from read_json(${literal(source)}, format = 'newline_delimited', columns = {${types}})) to ${literal(target)} (format parquet)`,
    )
    await session.run('set preserve_insertion_order = false')
    await session.run('reset threads')
    const bytes = await readFile(target)
    await storage.put(path, bytes)
    return { path, rows: changes.length, sizeBytes: bytes.length }
  })
}

function plain(row: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(row).map(([name, value]) => [
      name,
      typeof value === 'bigint' ? Number(value) : value instanceof Date ? value.toISOString() : value,
    ]),
  )
}
