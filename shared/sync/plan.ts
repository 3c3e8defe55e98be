import type { Connector, Selection, SourceTable } from '../connector/connector.ts'
import type { ResolvedTable } from '../pipeline/resolve.ts'
import type { PipelineSpec } from '../pipeline/spec.ts'
import { tableNameText } from '../pipeline/table-name.ts'
import type { KnownTables } from '../state/known-tables.ts'
import { planTables, type TablePlan } from './table-drift.ts'

/**
 * What a pipeline would read and where it would go: discovery of the schemas it names, with its spec laid over. `before`:
 * what it has read until now.
 *
 * @throws IngestError `source.object_missing` (fix) for what is not there, `config.invalid` (fix) for what cannot work
 */
export async function planPipeline<Ctx>(
  connector: Pick<Connector<unknown, Ctx>, 'discover'>,
  ctx: Ctx,
  spec: PipelineSpec,
  before: { known?: KnownTables; nowMs: number } = { nowMs: 0 },
): Promise<TablePlan> {
  const { objects } = spec.ingestion_definition
  const schemas = objects.map(({ schema, table }) => (schema ? schema.source_schema : table?.source_schema))
  const named = schemas.every((schema) => schema !== undefined) ? [...new Set(schemas)] : undefined
  const discovered: SourceTable[] = []
  if (!named) discovered.push(...(await connector.discover(ctx)))
  else for (const schema of named) discovered.push(...(await discoverIn(connector, ctx, schema, objects)))
  return planTables(spec, discovered, before.known, before.nowMs)
}

/**
 * The tables of a schema that the pipeline wants. Where it names a few, each is asked for alone: some sources pay a request
 * a table. One that is not there is looked for among all, so that the error can name the nearest.
 */
async function discoverIn<Ctx>(
  connector: Pick<Connector<unknown, Ctx>, 'discover'>,
  ctx: Ctx,
  schema: string,
  objects: PipelineSpec['ingestion_definition']['objects'],
): Promise<readonly SourceTable[]> {
  const inside = objects.filter((object) => (object.schema ?? object.table)?.source_schema === schema)
  const names = [...new Set(inside.map(({ table }) => table?.source_table))]
  if (names.length > FEW_TABLES || names.includes(undefined)) return await connector.discover(ctx, { schema })
  const found: SourceTable[] = []
  for (const table of names) {
    const tables = await connector.discover(ctx, { schema, table: table! })
    if (tables.length === 0) return await connector.discover(ctx, { schema })
    found.push(...tables)
  }
  return found
}

const FEW_TABLES = 20

/** What the connector is asked for. */
export function selectionOf(
  table: ResolvedTable,
  {
    captured,
    othersWait,
    notice,
    ...shared
  }: Pick<Selection, 'owner' | 'parallelism' | 'captured' | 'othersWait' | 'notice'>,
): Selection {
  return {
    mode: table.mode,
    columns: table.columns,
    key: table.key,
    ...(table.cursorColumns.length > 0 && { cursorColumns: table.cursorColumns }),
    ...(table.filter && { filter: table.filter }),
    ...(table.deletionCondition && { deletionCondition: table.deletionCondition }),
    ...(table.scdType === 'APPEND_ONLY' && { appendOnly: true }),
    ...(table.slotConfig && { slotConfig: table.slotConfig }),
    ...shared,
    reader: tableNameText(table.destination),
    ...(table.mode === 'cdc' && captured && { captured, ...(othersWait && { othersWait }) }),
    ...(notice && { notice }),
  }
}
