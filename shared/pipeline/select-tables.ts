import type { SourceTable } from '../connector/connector.ts'
import { IngestError } from '../core/errors.ts'
import type { ConnectorOptions } from './connector-options.ts'
import { didYouMean } from './nearest.ts'
import type { PipelineSpec } from './spec.ts'
import { mergeTableConfiguration, type TableConfiguration } from './table-configuration.ts'
import { type TableName, tableNameText } from './table-name.ts'

/** A chosen source table before its columns are decided. */
export interface SelectedTable {
  source: SourceTable
  destination: TableName
  configuration: TableConfiguration
  connectorOptions?: ConnectorOptions
  /** Chosen with its whole schema, not by its name. */
  ofSchema: boolean
  /** Another table goes where it would go. */
  taken?: IngestError
}

/** Whether the pipeline has read a source table into this destination before. */
export type WasRead = (destination: TableName, source: Pick<SourceTable, 'schema' | 'name'>) => boolean

/**
 * The source tables a pipeline's `objects` name, in their order. A table named by itself is taken out of the schema it
 * belongs to, so that one table of a schema can be told apart. Of several that would go to one destination, the one that was
 * read into it goes on, and the others are marked as `taken`.
 *
 * @throws IngestError `source.object_missing` (fix) for a table or schema that is not there
 */
export function selectTables(
  pipeline: PipelineSpec,
  discovered: readonly SourceTable[],
  wasRead: WasRead = () => false,
): SelectedTable[] {
  const { objects } = pipeline.ingestion_definition
  const named = new Set<SourceTable>()
  const singles = objects.map((object) => {
    if (object.schema) return undefined
    const source = object.table
      ? findTable(object.table, discovered)
      : findTable({ source_table: object.report!.source_url }, discovered)
    named.add(source)
    return source
  })
  const selected = objects.flatMap((object, i) => {
    const given = object.table ?? object.report
    if (given) return [select(pipeline, given, singles[i]!, false)]
    return schemaTables(object.schema!, discovered)
      .filter((source) => !named.has(source))
      .map((source) => select(pipeline, object.schema!, source, true))
  })
  return markTaken(selected, wasRead)
}

interface Chosen {
  destination_catalog?: string | undefined
  destination_schema?: string | undefined
  destination_table?: string | undefined
  table_configuration?: TableConfiguration | undefined
  connector_options?: ConnectorOptions | undefined
}

function select(pipeline: PipelineSpec, chosen: Chosen, source: SourceTable, ofSchema: boolean): SelectedTable {
  return {
    source,
    destination: {
      catalog: chosen.destination_catalog ?? pipeline.catalog ?? 'main',
      schema: chosen.destination_schema ?? pipeline.schema ?? pipeline.target ?? source.schema,
      table: chosen.destination_table ?? source.name,
    },
    configuration: mergeTableConfiguration(
      pipeline.ingestion_definition.table_configuration,
      chosen.table_configuration,
    ),
    ...(chosen.connector_options && { connectorOptions: chosen.connector_options }),
    ofSchema,
  }
}

interface WantedTable {
  source_catalog?: string | undefined
  source_schema?: string | undefined
  source_table: string
}

function findTable(wanted: WantedTable, discovered: readonly SourceTable[]): SourceTable {
  const inScope = discovered.filter(
    (table) =>
      (!wanted.source_catalog || !table.catalog || same(table.catalog, wanted.source_catalog)) &&
      (!wanted.source_schema || same(table.schema, wanted.source_schema)),
  )
  const found = exactFirst(inScope, wanted.source_table, (table) => table.name)
  if (found.length === 1) return found[0]!
  const text = [wanted.source_schema, wanted.source_table].filter(Boolean).join('.')
  if (found.length > 1) {
    const places = found.map((table) => `${table.schema}.${table.name}`).join(', ')
    throw new IngestError(
      'config.invalid',
      `source_table ${text} is in more than one place: ${places}; add source_schema`,
    )
  }
  const near = didYouMean(
    wanted.source_table,
    inScope.map((table) => table.name),
  )
  const elsewhere = discovered.find((table) => same(table.name, wanted.source_table))
  const hint = near || (elsewhere ? `; there is ${elsewhere.schema}.${elsewhere.name}` : '')
  throw new IngestError('source.object_missing', `the source has no table ${text} that this user can see${hint}`)
}

function schemaTables(
  wanted: { source_catalog?: string | undefined; source_schema: string },
  discovered: readonly SourceTable[],
): SourceTable[] {
  const found = exactFirst(discovered, wanted.source_schema, (table) => table.schema).filter(
    (table) => !wanted.source_catalog || !table.catalog || same(table.catalog, wanted.source_catalog),
  )
  if (found.length > 0) return found
  const schemas = [...new Set(discovered.map((table) => table.schema))]
  throw new IngestError(
    'source.object_missing',
    `the source has no table in schema ${wanted.source_schema} that this user can see${didYouMean(wanted.source_schema, schemas)}`,
  )
}

/** Those whose name is the text itself, or when there is none, those that differ only in case. */
function exactFirst<T>(items: readonly T[], text: string, nameOf: (item: T) => string): T[] {
  const exact = items.filter((item) => nameOf(item) === text)
  return exact.length > 0 ? exact : items.filter((item) => same(nameOf(item), text))
}

const same = (a: string, b: string) => a.toLowerCase() === b.toLowerCase()

function markTaken(selected: readonly SelectedTable[], wasRead: WasRead): SelectedTable[] {
  // Names that differ only in case are one: on a disk that ignores case, and in every catalog that does.
  const rivals = Map.groupBy(selected, ({ destination }) => tableNameText(destination).toLowerCase())
  return selected.map((each) => {
    const name = tableNameText(each.destination)
    const all = rivals.get(name.toLowerCase())!
    const first = all.find(({ destination, source }) => wasRead(destination, source))
    if (all.length === 1 || first === each) return each
    const other = first ?? all.find((rival) => rival !== each)!
    const both = [other, each].map(({ source }) => `${source.schema}.${source.name}`).join(' and ')
    const taken = new IngestError('config.invalid', `${both} would both go to ${name}; give one a destination_table`)
    return { ...each, taken }
  })
}
