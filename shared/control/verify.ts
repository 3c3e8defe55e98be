import { complement } from '../connector/complement.ts'
import type { Connector, Stream } from '../connector/connector.ts'
import type { Filter } from '../connector/filter.ts'
import { readSnapshot } from '../delta/snapshot.ts'
import { tableRoot } from '../delta/table-root.ts'
import { END_AT } from '../load/history-columns.ts'
import { quoted } from '../load/sql.ts'
import type { ResolvedTable } from '../pipeline/resolve.ts'
import { tableNameText } from '../pipeline/table-name.ts'
import { compareTable, type DifferentKeys, differentKeys } from '../sync/compare.ts'
import { findMissing } from '../sync/contained.ts'
import { selectionOf } from '../sync/plan.ts'
import { sampleRanges } from '../sync/sample-ranges.ts'
import { keysSetAside } from '../sync/set-aside.ts'
import type { SyncPorts } from '../sync/stream-run.ts'
import { withConnection } from './connections.ts'
import { type Project, pipelineNamed } from './project.ts'
import { chosenTables, keeperOf, knownPlan, runPorts, settingsOf } from './run.ts'

/** What became of the comparison of one table with its source. */
export interface VerifiedTable {
  table: string
  source: string
  outcome: 'equal' | 'different' | 'not compared'
  /** The version that was compared. */
  version?: number
  rows?: { source: number; table: number }
  /** What differs, or why the table was not compared. */
  findings: readonly string[]
  /** Of a table with a key: which rows differ. */
  keys?: DifferentKeys
}

export interface VerifyRequest {
  pipeline: string
  /** Default: all. */
  tables?: readonly string[]
  /** Only so many random ranges of keys of each table, of about 10,000 rows. Default: whole tables. */
  sample?: number
  signal: AbortSignal
}

/**
 * Compares tables of a pipeline with their source as it is now, value by value; changes nothing. Of a history, the open
 * versions are compared; a table that is only added to must hold every row of the source. What the source changes meanwhile, or since the last run, is a difference.
 *
 * @throws IngestError of the configuration or the source, `usage.invalid` (fix) for a table the pipeline does not have
 */
export async function verifyPipeline(
  project: Project,
  { pipeline, tables, sample, signal }: VerifyRequest,
  report: (verified: VerifiedTable) => void,
): Promise<void> {
  const spec = pipelineNamed(project, pipeline)
  await using ports = runPorts(project)
  await withConnection(project, spec.ingestion_definition.connection_name, signal, async (connector, context) => {
    const plan = await knownPlan(project, pipeline, connector, context)
    const parallelism = settingsOf(spec).pieces
    for (const table of tables ? chosenTables(plan.tables, tables) : plan.tables) {
      signal.throwIfAborted()
      const how = { owner: keeperOf(project, pipeline), parallelism }
      const open = (part?: Filter) => openWhole(connector, context, table, part, how)
      report(await verifyTable(table, open, ports, sample))
    }
  })
}

async function verifyTable(
  table: ResolvedTable,
  openPart: (part?: Filter) => Promise<Stream>,
  ports: SyncPorts,
  ranges: number | undefined,
): Promise<VerifiedTable> {
  const named = { table: tableNameText(table.destination), source: `${table.source.schema}.${table.source.name}` }
  const skipped = (reason: string): VerifiedTable => ({ ...named, outcome: 'not compared', findings: [reason] })
  const onlyAdds = table.scdType === 'APPEND_ONLY' && table.mode !== 'snapshot'
  if (onlyAdds && table.mode === 'cdc')
    return skipped('it keeps every change that was read (APPEND_ONLY), and a change need not carry all columns')
  if (table.refused) return skipped(table.refused.message)
  if (!table.source.modes.includes('snapshot')) return skipped('the source cannot be read as a whole')
  const whole = await readSnapshot(ports.storage, tableRoot(table.destination))
  if (!whole)
    return { ...named, outcome: 'different', findings: ['there is no such table yet: run the pipeline first'] }

  const part = ranges === undefined ? undefined : sampleRanges(whole, table.key, ranges, ports.random)
  if (ranges !== undefined && !part)
    return skipped('its key does not begin with a whole number, so it has no ranges to choose from: compare it whole')
  const snapshot = part?.table ?? whole
  const open = () => openPart(part?.filter)
  const reading = { storage: ports.storage, engine: await ports.engine() }
  if (onlyAdds) {
    const { rows, missing, examples } = await findMissing(await open(), snapshot, reading, table.key)
    const found = `${missing} rows of the source are nowhere in the table as they are now, such as ${examples.join('; ')}`
    const [outcome, findings] = missing === 0 ? (['equal', []] as const) : (['different', [found]] as const)
    return { ...named, outcome, version: snapshot.version, rows, findings }
  }
  const where = [
    ...(table.scdType === 'SCD_TYPE_2' && table.key.length > 0 ? [`${quoted(END_AT)} is null`] : []),
    ...(part ? [`(${part.where})`] : []),
  ]
  const options = { key: table.key, ...(where.length > 0 && { where: where.join(' and ') }) }
  const compared = await compareTable(await open(), snapshot, reading, options)
  const { equal, differences, source, table: stored } = compared
  const keyed = !equal && table.key.length > 0
  const findKeys = async () => {
    const stream = await open()
    const setAside = await keysSetAside(table.destination, stream.schema.fields, table.key, ports)
    return differentKeys(stream, snapshot, reading, compared, { ...options, setAside })
  }
  const keys = keyed ? await findKeys() : undefined
  return {
    ...named,
    outcome: equal ? 'equal' : 'different',
    version: snapshot.version,
    rows: { source: source.rows, table: stored.rows },
    findings: differences,
    ...(keys && { keys }),
  }
}

/** The rows the table should hold, or a part of them: those that match its filter, and do not count as deleted. */
function openWhole(
  connector: Connector,
  context: unknown,
  table: ResolvedTable,
  part: Filter | undefined,
  how: { owner: string; parallelism: number },
): Promise<Stream> {
  const { filter, deletionCondition, ...rest } = table
  const terms = [
    ...(filter ? [filter] : []),
    ...(part ? [part] : []),
    ...(deletionCondition ? [complement(deletionCondition)] : []),
  ]
  const whole: Filter | undefined = terms.length > 1 ? { op: 'and', terms } : terms[0]
  const selection = { ...rest, mode: 'snapshot' as const, cursorColumns: [], ...(whole && { filter: whole }) }
  return connector.open(context, table.source, selectionOf(selection, how))
}
