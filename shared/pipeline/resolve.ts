import type { ReadMode, SourceTable } from '../connector/connector.ts'
import type { Filter } from '../connector/filter.ts'
import { asIngestError, type ErrorCode, IngestError } from '../core/errors.ts'
import type { DriftPolicy } from '../schema/schema-change.ts'
import type { ConnectorOptions } from './connector-options.ts'
import { type RefreshWindow, refreshWindowOf } from './refresh-window.ts'
import { parseRowFilter, renameColumns } from './row-filter.ts'
import { type SelectedTable, selectTables, type WasRead } from './select-tables.ts'
import { SourceColumns } from './source-columns.ts'
import type { PipelineSpec } from './spec.ts'
import { driftPolicy } from './table-configuration.ts'
import type { TableName } from './table-name.ts'

/** One source table with everything a pipeline decided about it: what the sync engine reads and where it goes. */
export interface ResolvedTable {
  source: SourceTable
  destination: TableName
  /** In destination order. All of them are readable columns of the source. */
  columns: readonly string[]
  /** True when columns that appear in the source later are taken too. */
  followsNewColumns: boolean
  /** Columns that name a row; empty when nothing does. */
  key: readonly string[]
  /** Columns whose highest value is the newest version of a row; empty when the order of reading decides. */
  sequenceBy: readonly string[]
  /** In mode `query`: columns that only grow. */
  cursorColumns: readonly string[]
  scdType: 'SCD_TYPE_1' | 'SCD_TYPE_2' | 'APPEND_ONLY'
  mode: ReadMode
  /** The publication and slot that the user made for `cdc`. */
  slotConfig?: { publicationName?: string; slotName?: string }
  filter?: Filter
  /** In mode `query`: a row that matches counts as deleted. */
  deletionCondition?: Filter
  /** In mode `query`: compare all keys this often, to find rows deleted at the source. */
  hardDeletionIntervalMs?: number
  /** What is done when the source's columns are not the table's any more. */
  schemaDrift?: DriftPolicy
  /** Whether a change that cannot be followed is answered with a full refresh, and how often at most. Default: always. */
  autoFullRefresh?: { minIntervalMs: number } | 'never'
  /** A full refresh begins only within this window. Default: at any time. */
  fullRefreshWindow?: RefreshWindow
  /** The share of the table's rows that a whole read may lack. Default 0.5. */
  maxShrink?: number
  /** A full refresh of a history drops the versions before it. */
  dropsHistory?: boolean
  /** Why it is not read: an error of this table alone. */
  refused?: { code: ErrorCode; message: string }
  clusteringColumns: readonly string[]
  tableProperties: Readonly<Record<string, string>>
  sourceMetadataColumn?: string
  connectorOptions?: ConnectorOptions
}

/**
 * What a pipeline reads and where it goes: its spec laid over what discovery found. The notes say what was decided for
 * the user. With `wasRead`, given on every run but the first, what does not fit one table is an error of that table alone:
 * it is `refused`, and the others go on.
 *
 * @throws IngestError `source.object_missing` (fix) for a table or column that is not there, `config.invalid` (fix) for a
 * choice that cannot work
 */
export function resolvePipeline(
  pipeline: PipelineSpec,
  discovered: readonly SourceTable[],
  wasRead?: WasRead,
): { tables: ResolvedTable[]; notes: string[] } {
  const notes: string[] = []
  const { connector_type: connectorType, full_refresh_window } = pipeline.ingestion_definition
  const slotConfig = slotConfigOf(pipeline)
  const fullRefreshWindow = refreshWindowOf(full_refresh_window)
  const selected = selectTables(pipeline, discovered, wasRead)
  const leavesOut = connectorType === 'CDC' && selected.some(({ source }) => source.modes.includes('cdc'))
  const tables = selected.flatMap((each) => {
    const { source, destination, configuration, ofSchema } = each
    const note = (text: string) => notes.push(`${source.schema}.${source.name}: ${text}`)
    const before = wasRead?.(destination, source) ?? false
    // A schema has views and tables without a key beside those whose changes are logged.
    if (leavesOut && ofSchema && !before && !source.modes.includes('cdc')) {
      note('is left out: connector_type is CDC, and its changes cannot be captured')
      return []
    }
    try {
      if (each.taken) throw each.taken
      const table = resolveTable(each, connectorType, note)
      return [{ ...table, ...(slotConfig && { slotConfig }), ...(fullRefreshWindow && { fullRefreshWindow }) }]
    } catch (cause) {
      const error = asIngestError(cause)
      if (!wasRead || error.remedy !== 'fix') throw error
      // What captures it is kept for it until it can be read again.
      const captured = before && connectorType !== 'QUERY_BASED' && source.modes.includes('cdc')
      const schemaDrift = driftPolicy(configuration.schema_drift ?? {})
      return [{ ...refusedTable(source, destination, error, captured ? 'cdc' : 'snapshot'), schemaDrift }]
    }
  })
  return { tables, notes }
}

/** Stands for a table that cannot be read, so that its error is one of its own. */
export function refusedTable(
  source: SourceTable,
  destination: TableName,
  { code, message }: { code: ErrorCode; message: string },
  mode: ReadMode = 'snapshot',
): ResolvedTable {
  return {
    source,
    destination,
    columns: [],
    followsNewColumns: false,
    key: [],
    sequenceBy: [],
    cursorColumns: [],
    scdType: 'APPEND_ONLY',
    mode,
    clusteringColumns: [],
    tableProperties: {},
    refused: { code, message },
  }
}

function slotConfigOf(pipeline: PipelineSpec): ResolvedTable['slotConfig'] {
  const configs = pipeline.ingestion_definition.source_configurations ?? []
  const slot = configs.map(({ catalog }) => catalog?.postgres?.slot_config).find((config) => config !== undefined)
  if (!slot) return undefined
  const { publication_name, slot_name } = slot
  return { ...(publication_name && { publicationName: publication_name }), ...(slot_name && { slotName: slot_name }) }
}

function resolveTable(
  { source, destination, configuration, connectorOptions }: SelectedTable,
  connectorType: 'CDC' | 'QUERY_BASED' | undefined,
  note: (text: string) => void,
): ResolvedTable {
  const columns = new SourceColumns(source)
  const query = configuration.query_based_connector_config ?? {}
  const scdType = configuration.scd_type ?? 'SCD_TYPE_1'
  const key = configuration.primary_keys?.map((name) => columns.find(name, 'primary_keys')) ?? source.key
  const guessed = safeCursor(source, scdType)
  const mode = chooseMode(source, connectorType, { named: query.cursor_columns !== undefined, guessed }, note)
  const cursorColumns =
    mode !== 'query'
      ? []
      : (query.cursor_columns?.map((name) => columns.find(name, 'cursor_columns')) ??
        (guessed === undefined ? [] : [guessed]))
  const sequenceBy = configuration.sequence_by?.map((name) => columns.find(name, 'sequence_by')) ?? []
  const filter = parsed(configuration.row_filter, 'row_filter', columns)
  const deletionCondition = parsed(query.deletion_condition, 'deletion_condition', columns)
  if (key.length === 0 && mode === 'query' && scdType !== 'APPEND_ONLY')
    throw new IngestError(
      'config.invalid',
      `${columns.table} has no primary key, so its updates cannot be told from new rows; set primary_keys, or scd_type: APPEND_ONLY`,
    )
  const policy = configuration.auto_full_refresh_policy
  const interval = query.hard_deletion_sync_min_interval_in_seconds
  return {
    source,
    destination,
    columns: columns.choose(configuration, [...key, ...cursorColumns, ...sequenceBy], note),
    followsNewColumns: configuration.include_columns === undefined,
    key,
    sequenceBy,
    cursorColumns,
    scdType,
    mode,
    ...(filter && { filter }),
    ...(deletionCondition && { deletionCondition }),
    ...(interval !== undefined && { hardDeletionIntervalMs: interval * 1000 }),
    ...(policy?.enabled && { autoFullRefresh: { minIntervalMs: (policy.min_interval_hours ?? 24) * 3_600_000 } }),
    ...(configuration.schema_drift && { schemaDrift: driftPolicy(configuration.schema_drift) }),
    ...(policy?.enabled === false && { autoFullRefresh: 'never' as const }),
    ...(configuration.max_snapshot_shrink !== undefined && { maxShrink: configuration.max_snapshot_shrink }),
    ...(configuration.keep_history_on_full_refresh === false && { dropsHistory: true }),
    clusteringColumns: configuration.clustering_columns?.map((name) => columns.find(name, 'clustering_columns')) ?? [],
    tableProperties: configuration.table_properties ?? {},
    ...(configuration.source_metadata_column && { sourceMetadataColumn: configuration.source_metadata_column }),
    ...(connectorOptions && { connectorOptions }),
  }
}

/**
 * The cursor of a table whose user named none: only one that cannot miss a change. A column that may be NULL hides rows, and
 * a key that counts up hides updates, which do no harm where rows are only added.
 */
function safeCursor({ cursorCandidates, columns }: SourceTable, scdType: ResolvedTable['scdType']): string | undefined {
  return cursorCandidates.find((name) => {
    const field = columns.fields.find((candidate) => candidate.name === name)
    return field && !field.nullable && (field.type.kind === 'timestamp' || scdType === 'APPEND_ONLY')
  })
}

function chooseMode(
  source: SourceTable,
  connectorType: 'CDC' | 'QUERY_BASED' | undefined,
  cursor: { named: boolean; guessed: string | undefined },
  note: (text: string) => void,
): ReadMode {
  const offers = (mode: ReadMode) => source.modes.includes(mode)
  if (connectorType === 'CDC') {
    if (offers('cdc')) return 'cdc'
    throw new IngestError(
      'config.invalid',
      `connector_type is CDC, and ${source.schema}.${source.name} can only be read as ${source.modes.join(' or ')}; see lakeflow check`,
    )
  }
  if (cursor.named && offers('query')) return 'query'
  const mode = source.modes.find(
    (offered) =>
      offered === 'snapshot' ||
      (offered === 'query' && cursor.guessed !== undefined) ||
      (offered === 'cdc' && connectorType === undefined),
  )
  if (mode === 'snapshot' && connectorType === 'QUERY_BASED')
    note('no column is sure to grow with every change, so it is read whole each time; name one in cursor_columns')
  return mode ?? 'snapshot'
}

function parsed(text: string | undefined, what: string, columns: SourceColumns): Filter | undefined {
  if (text === undefined) return undefined
  const filter = parseRowFilter(text)
  return renameColumns(filter, (name) => columns.find(name, what))
}
