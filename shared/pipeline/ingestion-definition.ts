import * as z from 'zod'
import { ConnectorOptions, Transformer } from './connector-options.ts'
import { ignored } from './ignored.ts'
import { TableConfiguration } from './table-configuration.ts'

const destination = {
  destination_catalog: z.string().min(1).optional().describe("Default: the pipeline's catalog, else main."),
  destination_schema: z.string().min(1).optional().describe("Default: the pipeline's schema, else the source's."),
}

export const SchemaObject = z.strictObject({
  source_catalog: z.string().min(1).optional(),
  source_schema: z.string().min(1).describe('Every table of this schema, also those made later.'),
  ...destination,
  connector_options: ConnectorOptions.optional(),
  fanout_options: ignored(
    z.strictObject({ fanout_by: z.string().optional(), transforms: z.array(Transformer).optional() }),
    'no connector here splits one topic over many tables',
  ),
  table_configuration: TableConfiguration.optional(),
})

export const TableObject = z.strictObject({
  source_catalog: z.string().min(1).optional(),
  source_schema: z.string().min(1).optional().describe('May be left out when only one schema has the table.'),
  source_table: z.string().min(1),
  ...destination,
  destination_table: z.string().min(1).optional().describe("Default: the source table's name."),
  connector_options: ConnectorOptions.optional(),
  table_configuration: TableConfiguration.optional(),
})

export const ReportObject = z.strictObject({
  source_url: z.string().min(1).describe('Address of the report.'),
  ...destination,
  destination_table: z.string().min(1).optional().describe("Default: the report's name."),
  table_configuration: TableConfiguration.optional(),
})

const IngestionObject = z
  .strictObject({
    schema: SchemaObject.optional(),
    table: TableObject.optional(),
    report: ReportObject.optional(),
  })
  .check((context) => {
    if (context.issues.length > 0) return
    const given = Object.values(context.value).filter((value) => value !== undefined).length
    if (given === 1) return
    const message = `an object is one of schema, table or report, got ${given === 0 ? 'none' : 'more than one'}`
    context.issues.push({ code: 'custom', input: context.value, path: [], message })
  })

const SourceConfiguration = z.strictObject({
  catalog: z
    .strictObject({
      source_catalog: z.string().optional(),
      postgres: z
        .strictObject({
          slot_config: z
            .strictObject({
              publication_name: z.string().min(1).optional(),
              slot_name: z.string().min(1).optional(),
            })
            .optional()
            .describe('A publication and replication slot that exist already.'),
        })
        .optional(),
    })
    .optional(),
  api_source_connector_config: z.strictObject({ configs: z.record(z.string(), z.string()).optional() }).optional(),
  google_ads_config: z.strictObject({ manager_account_id: z.string().optional() }).optional(),
})

/** Databricks' `IngestionPipelineDefinition`, field for field, so that the one of a bundle can be pasted in. */
export const IngestionDefinition = z.strictObject({
  connection_name: z.string().min(1).describe('One of the connections of this file.'),
  objects: z.array(IngestionObject).min(1).describe('What is copied: tables, whole schemas, reports.'),
  table_configuration: TableConfiguration.optional().describe('For every table; a schema or table may say otherwise.'),
  connector_type: z
    .enum(['CDC', 'QUERY_BASED'])
    .optional()
    .describe(
      "CDC reads the source's changefeed, QUERY_BASED asks for rows whose cursor grew. Default: the best the source offers.",
    ),
  source_configurations: z.array(SourceConfiguration).optional(),
  full_refresh_window: z
    .strictObject({
      start_hour: z
        .int()
        .min(0)
        .max(23)
        .describe('A full refresh begins only within this hour, and may go on after it.'),
      days_of_week: z
        .array(z.enum(['MONDAY', 'TUESDAY', 'WEDNESDAY', 'THURSDAY', 'FRIDAY', 'SATURDAY', 'SUNDAY']))
        .optional(),
      time_zone_id: z.string().optional().describe('Default UTC.'),
    })
    .optional()
    .describe('When a table may be copied again in full. A refresh that is due at another time waits for it.'),
  ingestion_gateway_id: ignored(z.string(), 'one pipeline extracts and applies, there is no gateway'),
  ingest_from_uc_foreign_catalog: ignored(z.boolean(), 'there is no Unity Catalog to ask, sources are read directly'),
  data_staging_options: ignored(
    z.strictObject({ catalog_name: z.string(), schema_name: z.string(), volume_name: z.string().optional() }),
    'rows are staged beside the table they belong to',
  ),
  netsuite_jar_path: ignored(z.string(), 'no Java driver is used'),
})

export type IngestionDefinition = z.infer<typeof IngestionDefinition>
export type IngestionObject = z.infer<typeof IngestionObject>
