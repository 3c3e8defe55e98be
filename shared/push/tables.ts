import { type Clock, hasPassed } from '../core/clock.ts'
import { IngestError } from '../core/errors.ts'
import type { Random } from '../core/random.ts'
import { commit, createTable } from '../delta/commit.ts'
import { addFields } from '../delta/evolve.ts'
import { newTable } from '../delta/new-table.ts'
import { readSnapshot } from '../delta/snapshot.ts'
import type { TableSnapshot } from '../delta/table.ts'
import { findField } from '../schema/names.ts'
import { typeText } from '../schema/type-text.ts'
import type { Field, LogicalType, Schema } from '../schema/types.ts'
import type { StateStore } from '../state/state-store.ts'
import type { Storage } from '../storage/storage.ts'
import type { ColumnInfo } from './frames.ts'
import { misfitOf, registerSchema, schemaAt, type TableSchema } from './schemas.ts'

/** The column that collects fields without a column, with policy `rescue`. */
export const RESCUED = '_rescued_data'

export interface TablePolicy {
  /** What happens to a record that does not fit: docs/protocol.md, "Validation and rejection". */
  onReject: 'record' | 'batch' | 'rescue'
  /** `add_columns`: a field without a column becomes a new column of the table. */
  schemaEvolution: 'none' | 'add_columns'
}

/** A table that is declared: made when it does not exist. */
export interface DeclaredTable {
  name: string
  policy: TablePolicy
  schema?: Schema
  properties?: Readonly<Record<string, string>>
}

export const defaultPolicy: TablePolicy = { onReject: 'record', schemaEvolution: 'none' }

/** A table as push sees it now. */
export interface PushTable {
  name: string
  /** Its path in storage. */
  root: string
  policy: TablePolicy
  newest: TableSchema
  snapshot: TableSnapshot
}

/** The tables of one lakehouse, for receivers, flushers and committers. */
export interface PushTables {
  /** The table, at most `maxAgeMs` old; undefined when it does not exist and is not declared. */
  open(name: string): Promise<PushTable | undefined>
  /**
   * The columns of a table at an older version.
   *
   * @throws IngestError `push.schema_version_unknown`, `push.table_changed` when such rows no longer fit the table (fix)
   */
  schemaAt(table: PushTable, version: number): Promise<TableSchema>
  /** Makes a table that a session brings its columns for; a table made meanwhile is returned as it is. */
  create(name: string, schema: Schema): Promise<PushTable>
  /**
   * Adds columns, and to structs the fields they lack; what exists by now is left as it is. Nothing is added where the table
   * would have more than 2,000 fields then.
   */
  addColumns(table: PushTable, columns: readonly Field[]): Promise<PushTable>
  /** A newer snapshot is known, from a commit. */
  update(name: string, snapshot: TableSnapshot): void
}

export interface TablePorts {
  storage: Storage
  state: StateStore
  clock: Clock
  random: Random
}

/** Databricks allows as many columns in a table that Zerobus writes. */
const MAX_FIELDS = 2000

const rescued: Field = { name: RESCUED, type: { kind: 'string' }, nullable: true }

export const rootOf = (table: string): string => table.replaceAll('.', '/')

/** The columns as a producer sees them. */
export function columnsOf(schema: Schema): ColumnInfo[] {
  return schema.fields.map(({ name, type, nullable }) => ({ name, type: typeText(type), nullable }))
}

export function createPushTables(declared: readonly DeclaredTable[], ports: TablePorts, maxAgeMs = 1000): PushTables {
  const known = new Map<string, { table: PushTable; atMs: number }>()
  const opening = new Map<string, Promise<PushTable | undefined>>()
  const schemas = new Map<string, TableSchema>()
  const declarationOf = (name: string) => declared.find((table) => table.name === name)

  async function read(name: string): Promise<PushTable | undefined> {
    const before = known.get(name)?.table
    const snapshot = await readSnapshot(ports.storage, rootOf(name), before ? { after: before.snapshot } : {})
    if (snapshot) return withRescued(await remember(name, snapshot))
    known.delete(name)
    const declaration = declarationOf(name)
    return declaration?.schema ? create(name, declaration.schema) : undefined
  }

  async function remember(name: string, snapshot: TableSnapshot): Promise<PushTable> {
    const before = known.get(name)?.table
    const sameSchema = before?.snapshot.metadata.schemaString === snapshot.metadata.schemaString
    const newest = sameSchema ? before!.newest : await registerSchema(name, snapshot.schema, ports.state)
    const policy = declarationOf(name)?.policy ?? defaultPolicy
    const table = { name, root: rootOf(name), policy, newest, snapshot }
    known.set(name, { table, atMs: ports.clock.now() })
    return table
  }

  /** A table that is there already may lack the column its policy needs. */
  function withRescued(table: PushTable): PushTable | Promise<PushTable> {
    if (table.policy.onReject !== 'rescue' || findField(table.newest.schema.fields, RESCUED)) return table
    return grow(table, [rescued])
  }

  async function create(name: string, schema: Schema): Promise<PushTable> {
    const declaration = declarationOf(name)
    const rescues = declaration?.policy.onReject === 'rescue' && !schema.fields.some((f) => f.name === RESCUED)
    const fields = rescues ? [...schema.fields, rescued] : schema.fields
    const change = newTable({ fields }, ports, { properties: declaration?.properties ?? {} })
    await createTable(rootOf(name), change, ports)
    const snapshot = await readSnapshot(ports.storage, rootOf(name))
    if (!snapshot) throw new IngestError('table.missing', `the table ${name} vanished while it was created`)
    return remember(name, snapshot)
  }

  async function grow(table: PushTable, columns: readonly Field[]): Promise<PushTable> {
    let snapshot = table.snapshot
    for (;;) {
      const evolution = addFields(snapshot, columns, ports.random)
      if (!evolution || countFields(evolution.schema.fields) > MAX_FIELDS) return remember(table.name, snapshot)
      const result = await commit(snapshot, { operation: 'ADD COLUMNS', reads: 'table', ...evolution }, ports)
      if (result.kind === 'committed') return remember(table.name, result.snapshot)
      snapshot = (await readSnapshot(ports.storage, table.root, { after: snapshot })) ?? snapshot
    }
  }

  return {
    open(name) {
      const cached = known.get(name)
      if (cached && !hasPassed(cached.atMs, maxAgeMs, ports.clock.now())) return Promise.resolve(cached.table)
      // Sessions that ask at the same time share one read of the log.
      const running = opening.get(name) ?? read(name).finally(() => opening.delete(name))
      opening.set(name, running)
      return running
    },

    async schemaAt(table, version) {
      if (version === table.newest.version) return table.newest
      const key = `${table.name}#${version}`
      const found = schemas.get(key) ?? (await schemaAt(table.name, version, ports.state))
      schemas.set(key, found)
      const misfit = misfitOf(found.schema, table.newest.schema)
      if (misfit)
        throw new IngestError(
          'push.table_changed',
          `rows of schema version ${version} no longer fit ${table.name}: ${misfit}`,
        )
      return found
    },

    create,

    addColumns: grow,

    update(name, snapshot) {
      const cached = known.get(name)
      const sameSchema = cached?.table.snapshot.metadata.schemaString === snapshot.metadata.schemaString
      if (cached && sameSchema && snapshot.version > cached.table.snapshot.version)
        known.set(name, { table: { ...cached.table, snapshot }, atMs: ports.clock.now() })
    },
  }
}

function countFields(fields: readonly Field[]): number {
  return fields.reduce((sum, { type }) => sum + 1 + countNested(type), 0)
}

function countNested(type: LogicalType): number {
  if (type.kind === 'struct') return countFields(type.fields)
  if (type.kind === 'array') return countNested(type.element)
  return type.kind === 'map' ? countNested(type.value) : 0
}
