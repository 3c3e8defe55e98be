import type { SourceTable } from '../connector/connector.ts'
import { IngestError } from '../core/errors.ts'
import { type ResolvedTable, refusedTable, resolvePipeline } from '../pipeline/resolve.ts'
import type { PipelineSpec } from '../pipeline/spec.ts'
import { driftPolicy, mergeTableConfiguration } from '../pipeline/table-configuration.ts'
import { type TableName, tableNameText } from '../pipeline/table-name.ts'
import type { DriftAction, SchemaChange } from '../schema/schema-change.ts'
import type { KnownTable, KnownTables } from '../state/known-tables.ts'

/** What a pipeline reads, and how that differs from what it read before. */
export interface TablePlan {
  tables: readonly ResolvedTable[]
  /** What was decided for the user. */
  notes: readonly string[]
  /** Tables that came, went or returned, by destination. */
  changes: readonly { stream: string; change: SchemaChange }[]
  /** To be remembered once the changes are told. */
  known: KnownTables
}

type Named = Pick<KnownTable, 'schema' | 'name'>
type Object = PipelineSpec['ingestion_definition']['objects'][number]

/**
 * Lays a spec over what the source has, and compares with what was known. A table that is gone does not stop the others:
 * what it was copied to stays. One that is new in a schema that was chosen before is copied, left out or refused, as
 * `schema_drift` says. One that cannot be read as the spec says, where others were before, is an error of its own.
 *
 * @throws as `resolvePipeline`, also for a table that is not there and never was
 */
export function planTables(
  spec: PipelineSpec,
  discovered: readonly SourceTable[],
  known: KnownTables | undefined,
  nowMs: number,
): TablePlan {
  const { objects } = spec.ingestion_definition
  const kept = known ? objects.filter((object) => isThere(object, discovered) || !wasThere(object, known)) : objects
  const definition = { ...spec.ingestion_definition, objects: kept }
  const { tables: found, notes } = resolvePipeline(
    { ...spec, ingestion_definition: definition },
    discovered,
    known && ((destination, source) => isSame(source, known.tables[tableNameText(destination)])),
  )
  const taken = new Set(found.filter(({ refused }) => !refused).map(({ destination }) => tableNameText(destination)))
  const changes: { stream: string; change: SchemaChange }[] = []
  const tables: ResolvedTable[] = []
  const now: Record<string, KnownTable> = {}
  const tell = (stream: string, kind: TableKind, name: string, action: DriftAction, outcome: string) => {
    const [before, after] = kind === 'table_removed' ? [name, null] : [null, name]
    changes.push({ stream, change: { kind, before, after, action, outcome } })
  }

  for (const table of found) {
    const { schema, name } = table.source
    const stream = tableNameText(table.destination)
    if (table.refused && taken.has(stream)) {
      tell(stream, 'table_added', `${schema}.${name}`, 'evolve', `is not copied: ${table.refused.message}`)
      continue
    }
    const before = known?.tables[stream]
    const isNew = !before && !!known?.schemas.includes(schema) && !isNamed(objects, table.source)
    const action = table.schemaDrift?.tables ?? 'evolve'
    if (isNew && action !== 'evolve') {
      const isFrozen = action === 'freeze'
      tell(
        stream,
        'table_added',
        `${schema}.${name}`,
        action,
        isFrozen ? 'is not copied and is an error' : 'is not copied',
      )
      if (isFrozen) tables.push(refusedNew(table))
      continue
    }
    if (isNew) tell(stream, 'table_added', `${schema}.${name}`, action, table.refused ? 'is an error' : 'is copied')
    if (before?.goneSinceMs !== undefined)
      tell(stream, 'table_returned', `${schema}.${name}`, 'evolve', 'is read again')
    tables.push(table)
    taken.add(stream)
    // What was refused before it was ever read is still new.
    if (!table.refused || isSame(table.source, before)) now[stream] = { schema, name }
  }
  for (const [stream, table] of Object.entries(known?.tables ?? {})) {
    const object = now[stream] ? undefined : objects.find((each) => covers(each, table))
    if (!object || discovered.some((source) => isSame(source, table))) continue
    const action = actionOf(spec, object)
    const named = `${table.schema}.${table.name}`
    if (table.goneSinceMs === undefined || action === 'freeze')
      tell(
        stream,
        'table_removed',
        named,
        action === 'freeze' ? 'freeze' : 'evolve',
        `stays as it is${action === 'freeze' ? ' and is an error' : ''}`,
      )
    if (action === 'freeze') tables.push(refusedGone(stream, table))
    now[stream] = { ...table, goneSinceMs: table.goneSinceMs ?? nowMs }
  }
  const schemas = objects.flatMap(({ schema }) => (schema ? [schema.source_schema] : []))
  const spelled = [
    ...new Set([
      ...schemas,
      ...found.map(({ source }) => source.schema).filter((name) => schemas.some((each) => same(each, name))),
    ]),
  ]
  return { tables, notes, changes, known: { schemas: spelled, tables: now } }
}

type TableKind = Extract<SchemaChange['kind'], `table_${string}`>

function isThere(object: Object, discovered: readonly SourceTable[]): boolean {
  return discovered.some((source) => covers(object, source))
}

function wasThere(object: Object, known: KnownTables): boolean {
  return Object.values(known.tables).some((table) => covers(object, table))
}

/** True for a report, which is found by its address. */
function covers({ schema, table }: Object, { schema: ofSchema, name }: Named): boolean {
  if (schema) return same(schema.source_schema, ofSchema)
  if (!table) return true
  return same(table.source_table, name) && (table.source_schema === undefined || same(table.source_schema, ofSchema))
}

const isNamed = (objects: readonly Object[], source: Named) =>
  objects.some((object) => !object.schema && covers(object, source))

function actionOf(spec: PipelineSpec, object: Object): DriftAction {
  const chosen = object.schema ?? object.table ?? object.report
  const levels = [spec.ingestion_definition.table_configuration, chosen?.table_configuration]
  return driftPolicy(mergeTableConfiguration(...levels).schema_drift ?? {}).tables
}

const same = (a: string, b: string) => a.toLowerCase() === b.toLowerCase()
const isSame = (a: Named, b: Named | undefined) => a.schema === b?.schema && a.name === b.name

const remedy = 'set tables: evolve there'

function refusedNew({ source, destination }: ResolvedTable): ResolvedTable {
  return frozen(
    source,
    destination,
    `${source.schema}.${source.name} is new in the source, and schema_drift freezes tables; ${remedy}, or choose ${tableNameText(destination)} by its name in objects`,
  )
}

function refusedGone(stream: string, { schema, name }: KnownTable): ResolvedTable {
  const [catalog, inSchema, ...rest] = stream.split('.')
  if (!catalog || !inSchema) throw new IngestError('state.invalid', `the stored table ${stream} has no schema`)
  return frozen(
    { schema, name, columns: { fields: [] }, key: [], cursorCandidates: [], modes: ['snapshot'] },
    { catalog, schema: inSchema, table: rest.join('.') },
    `${schema}.${name} is not in the source any more, and schema_drift freezes tables; ${remedy}, or take it out of objects`,
  )
}

const frozen = (source: SourceTable, destination: TableName, message: string) =>
  refusedTable(source, destination, { code: 'table.schema_frozen', message })
