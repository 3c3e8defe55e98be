import * as z from 'zod'

const texts = z.array(z.string()).optional()
const text = z.string().optional()
const flag = z.boolean().optional()
const count = z.int().min(0).optional()
const map = z.record(z.string(), z.string()).optional()

const schemaEvolutionMode = z
  .enum(['ADD_NEW_COLUMNS_WITH_TYPE_WIDENING', 'ADD_NEW_COLUMNS', 'RESCUE', 'FAIL_ON_NEW_COLUMNS', 'NONE'])
  .optional()

const fileIngestionOptions = z
  .strictObject({
    corrupt_record_column: text,
    file_filters: z
      .array(z.strictObject({ modified_after: text, modified_before: text, path_filter: text }))
      .optional(),
    format: z.enum(['BINARYFILE', 'JSON', 'CSV', 'XML', 'EXCEL', 'PARQUET', 'AVRO', 'ORC']).optional(),
    format_options: map,
    ignore_corrupt_files: flag,
    infer_column_types: flag,
    reader_case_sensitive: flag,
    rescued_data_column: text,
    schema_evolution_mode: schemaEvolutionMode,
    schema_hints: text,
    single_variant_column: text,
  })
  .optional()

export const Transformer = z.strictObject({
  format: z.enum(['STRING', 'JSON']).optional(),
  input_column: text,
  json_options: z
    .strictObject({
      as_variant: flag,
      schema: text,
      schema_evolution_mode: schemaEvolutionMode,
      schema_file_path: text,
      schema_hints: text,
    })
    .optional(),
  output_column: text,
})

const metaReport = {
  action_attribution_windows: texts,
  action_breakdowns: texts,
  action_report_time: text,
  breakdowns: texts,
  level: text,
  time_increment: text,
}

const tikTokReport = {
  data_level: z.enum(['AUCTION_ADVERTISER', 'AUCTION_CAMPAIGN', 'AUCTION_ADGROUP', 'AUCTION_AD']).optional(),
  dimensions: texts,
  metrics: texts,
  query_lifetime: flag,
  report_type: z.enum(['BASIC', 'AUDIENCE', 'PLAYABLE_AD', 'DSA', 'BUSINESS_CENTER', 'GMV_MAX']).optional(),
}

const files = (entities: readonly [string, ...string[]]) =>
  z
    .strictObject({
      entity_type: z.enum(entities).optional(),
      file_ingestion_options: fileIngestionOptions,
      url: text,
    })
    .optional()

/** Databricks' `ConnectorOptions`, field for field: what one kind of source wants to know about one object. */
export const ConnectorOptions = z.strictObject({
  api_source_connector_options: z
    .strictObject({ options: map })
    .optional()
    .describe('Options of any other connector, by name.'),
  confluence_options: z.strictObject({ include_confluence_spaces: texts }).optional(),
  gdrive_options: files(['FILE', 'FILE_METADATA', 'PERMISSION']),
  google_ads_options: z
    .strictObject({
      custom_report_options: z
        .strictObject({ metrics: texts, resource: z.string(), resource_fields: texts, segments: texts })
        .optional(),
      lookback_window_days: count,
      manager_account_id: z.string(),
      sync_start_date: text,
    })
    .optional(),
  jira_options: z.strictObject({ include_jira_spaces: texts }).optional(),
  kafka_options: z
    .strictObject({
      client_config: map,
      key_transformer: Transformer.optional(),
      max_offsets_per_trigger: count,
      starting_offset: text,
      topic_pattern: text,
      topics: texts,
      value_transformer: Transformer.optional(),
    })
    .optional(),
  linkedin_ads_options: z
    .strictObject({
      custom_report_options: z
        .strictObject({
          entity_granularity: z.array(z.enum(['CAMPAIGN', 'CREATIVE', 'CAMPAIGN_GROUP'])).optional(),
          finder: z.enum(['ANALYTICS', 'STATISTICS', 'ATTRIBUTED_REVENUE_METRICS']),
          metrics: texts,
          time_granularity: z.enum(['ALL', 'DAILY', 'MONTHLY', 'YEARLY']).optional(),
        })
        .optional(),
      lookback_window_days: count,
      sync_start_date: text,
    })
    .optional(),
  marketo_options: z.strictObject({ sync_start_date: text }).optional(),
  meta_ads_options: z
    .strictObject({
      ...metaReport,
      custom_insights_lookback_window: count,
      custom_report_options: z.strictObject(metaReport).optional(),
      start_date: text,
    })
    .optional(),
  outlook_options: z
    .strictObject({
      attachment_mode: z.enum(['ALL', 'NON_INLINE_ONLY', 'INLINE_ONLY', 'NONE']).optional(),
      body_format: z.enum(['TEXT_HTML', 'TEXT_PLAIN']).optional(),
      folder_filter: texts,
      include_folders: texts,
      include_mailboxes: texts,
      include_senders: texts,
      include_subjects: texts,
      sender_filter: texts,
      start_date: text,
      subject_filter: texts,
    })
    .optional(),
  reddit_ads_options: z
    .strictObject({
      custom_report_options: z.strictObject({ breakdowns: texts, fields: texts }).optional(),
      lookback_window_days: count,
      sync_start_date: text,
    })
    .optional(),
  sharepoint_options: files(['FILE', 'FILE_METADATA', 'PERMISSION', 'LIST']),
  smartsheet_options: z.strictObject({ enforce_schema: flag }).optional(),
  tiktok_ads_options: z
    .strictObject({
      ...tikTokReport,
      custom_report_options: z.strictObject(tikTokReport).optional(),
      lookback_window_days: count,
      sync_start_date: text,
    })
    .optional(),
  zendesk_support_options: z.strictObject({ start_date: text }).optional(),
})

export type ConnectorOptions = z.infer<typeof ConnectorOptions>
