import * as z from 'zod'
import type { DriftPolicy } from '../schema/schema-change.ts'

import { ignored } from './ignored.ts'

const names = z.array(z.string().min(1)).min(1)

const action = z.enum(['evolve', 'freeze', 'discard_row', 'discard_value'])

const SchemaDrift = z
  .strictObject({
    tables: action
      .optional()
      .describe('New tables of a chosen schema: copied, an error of that table, or not copied (both discards).'),
    columns: action
      .optional()
      .describe(
        'New, removed and renamed columns: followed, an error, rows with a value set aside, or values dropped.',
      ),
    data_type: action
      .optional()
      .describe(
        'Types that change: followed, an error, rows that do not fit set aside, or values that do not fit dropped.',
      ),
    backfill: z
      .boolean()
      .optional()
      .describe('Copy the table again when a column is added, so that older rows have its values. Default false.'),
  })
  .optional()
  .describe('What happens when the source is not as the table knows it. Default evolve for all; see docs/tables.md.')

/** Databricks' `TableSpecificConfig`, field for field. Given for the pipeline, a schema or a table; the narrowest wins. */
export const TableConfiguration = z
  .strictObject({
    scd_type: z
      .enum(['SCD_TYPE_1', 'SCD_TYPE_2', 'APPEND_ONLY'])
      .optional()
      .describe(
        'SCD_TYPE_1 keeps one row a key (the default), SCD_TYPE_2 every version of it, APPEND_ONLY every read row.',
      ),
    primary_keys: names.optional().describe("Columns that name a row. Default: the source's own key."),
    sequence_by: names.optional().describe('Columns whose highest value is the newest version of a row.'),
    include_columns: names.optional().describe('Only these columns; later ones of the source are left out.'),
    exclude_columns: names.optional().describe('All columns but these; later ones of the source are taken.'),
    row_filter: z
      .string()
      .min(1)
      .optional()
      .describe("Only rows that match, read with the filter at the source: price > 10 AND state IN ('new', 'paid')."),
    query_based_connector_config: z
      .strictObject({
        cursor_columns: names
          .optional()
          .describe('Columns that only grow: rows at or below the highest seen value are not read again.'),
        deletion_condition: z
          .string()
          .min(1)
          .optional()
          .describe('A row that matches counts as deleted: deleted_at IS NOT NULL.'),
        hard_deletion_sync_min_interval_in_seconds: z
          .int()
          .min(0)
          .optional()
          .describe('Compare all keys with the source this often to find rows that were deleted there.'),
      })
      .optional()
      .describe('How rows are found when the source has no changefeed.'),
    auto_full_refresh_policy: z
      .strictObject({
        enabled: z.boolean().describe('Copy again in full when a change of the source cannot be followed.'),
        min_interval_hours: z.int().min(0).optional().describe('At most once in this many hours. Default 24.'),
      })
      .optional(),
    schema_drift: SchemaDrift,
    max_snapshot_shrink: z
      .number()
      .min(0)
      .max(1)
      .optional()
      .describe(
        "A whole read that lacks more than this share of the table's rows stops the stream instead of deleting them. Default 0.5.",
      ),
    keep_history_on_full_refresh: z
      .boolean()
      .optional()
      .describe('With SCD_TYPE_2: the versions before a full refresh stay. Default true.'),
    table_properties: z
      .record(z.string(), z.string())
      .optional()
      .describe('Delta table properties, set when the table is made.'),
    clustering_columns: names.optional().describe('Rows that are near in these columns are kept in the same files.'),
    enable_auto_clustering: ignored(z.boolean(), 'choose clustering_columns instead'),
    salesforce_include_formula_fields: z
      .boolean()
      .optional()
      .describe('Read the formula fields of Salesforce objects.'),
    source_metadata_column: z
      .string()
      .min(1)
      .optional()
      .describe('Name of a column that tells where each row came from.'),
    workday_report_parameters: z
      .strictObject({
        incremental: z.boolean().optional(),
        parameters: z.record(z.string(), z.string()).optional(),
        report_parameters: z
          .array(z.strictObject({ key: z.string().optional(), value: z.string().optional() }))
          .optional(),
      })
      .optional(),
  })
  .check((context) => {
    refuseBoth(context, 'include_columns', 'exclude_columns')
    refuseBoth(context, 'clustering_columns', 'enable_auto_clustering')
  })

export type TableConfiguration = z.infer<typeof TableConfiguration>

/**
 * The configuration of one table from the widest to the narrowest level. A field of a narrower level replaces the wider
 * one's; choosing columns one way drops the other way, and a drift policy is replaced key by key.
 */
export function mergeTableConfiguration(...levels: readonly (TableConfiguration | undefined)[]): TableConfiguration {
  const merged: TableConfiguration = {}
  for (const level of levels) {
    if (level?.include_columns) delete merged.exclude_columns
    if (level?.exclude_columns) delete merged.include_columns
    const drift = { ...merged.schema_drift, ...level?.schema_drift }
    Object.assign(merged, level)
    if (Object.keys(drift).length > 0) merged.schema_drift = drift
  }
  return merged
}

export function driftPolicy(drift: NonNullable<TableConfiguration['schema_drift']>): DriftPolicy {
  const { tables = 'evolve', columns = 'evolve', data_type: dataType = 'evolve', backfill = false } = drift
  return { tables, columns, dataType, backfill }
}

function refuseBoth(context: z.core.ParsePayload<Record<string, unknown>>, one: string, other: string) {
  if (context.value[one] === undefined || !context.value[other]) return
  context.issues.push({
    code: 'custom',
    input: context.value,
    path: [other],
    message: `use ${one} or ${other}, not both`,
  })
}
