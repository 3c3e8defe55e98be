import { IngestError } from '../core/errors.ts'
import { readSnapshot } from '../delta/snapshot.ts'
import { tableRoot } from '../delta/table-root.ts'
import { quarantineOf } from '../load/quarantine.ts'
import { ownerOf } from '../load/target.ts'
import { didYouMean } from '../pipeline/nearest.ts'
import { tableNameText } from '../pipeline/table-name.ts'
import { type Replayed, replayStream } from '../sync/replay-stream.ts'
import type { Runner } from '../sync/run-stream.ts'
import { withConnection } from './connections.ts'
import { findTable } from './lakehouse.ts'
import { type Project, pipelineNamed } from './project.ts'
import {
  chosenTables,
  keeperOf,
  knownPlan,
  quarantineOf as quarantine,
  runPorts,
  settingsOf,
  streamOpener,
} from './run.ts'

/**
 * Lays quarantined rows on their tables again: those of all tables of a pipeline, or of one table.
 *
 * @throws IngestError `usage.invalid`, `table.missing` (fix) for a name that is neither
 */
export async function replay(
  project: Project,
  { name, runner, signal }: { name: string; runner: Runner; signal: AbortSignal },
): Promise<Replayed[]> {
  const { pipeline, table } = await chosen(project, name)
  const spec = pipelineNamed(project, pipeline)
  const settings = settingsOf(spec)
  await using ports = runPorts(project)
  return withConnection(project, spec.ingestion_definition.connection_name, signal, async (connector, context) => {
    const plan = await knownPlan(project, pipeline, connector, context)
    const tables = table === undefined ? plan.tables : chosenTables(plan.tables, [table])
    const owner = keeperOf(project, pipeline)
    const open = streamOpener(connector, context, { owner, tables: [], othersWait: true, settings })
    const results: Replayed[] = []
    for (const each of tables) {
      signal.throwIfAborted()
      if (!(await readSnapshot(ports.storage, tableRoot(quarantineOf(each.destination))))) continue
      const task = {
        pipeline,
        stream: tableNameText(each.destination),
        table: each,
        open: () => open(each, () => {}),
        fullRefresh: false,
        runStartedAtMs: project.clock.now(),
        settings,
        signal,
        report: () => {},
        quarantine: quarantine(pipeline, each, 'replay', ports),
      }
      results.push(await replayStream(task, ports, runner))
    }
    return results
  })
}

/** A pipeline by its name, or the one that a table belongs to. */
async function chosen(project: Project, name: string): Promise<{ pipeline: string; table?: string }> {
  const pipelines = Object.keys(project.spec.pipelines ?? {})
  if (pipelines.includes(name)) return { pipeline: name }
  const found = await findTable(project.storage, name).catch((error) => {
    const hint = name.includes('.') ? '' : didYouMean(name, pipelines)
    if (!hint || !(error instanceof IngestError)) throw error
    throw new IngestError('usage.invalid', `there is no pipeline and no table ${name}${hint}`)
  })
  const snapshot = await readSnapshot(project.storage, tableRoot(found))
  const [, pipeline, stream] = /^lakeflow\/([^/]+)\/(.+)$/.exec((snapshot && ownerOf(snapshot)) ?? '') ?? []
  if (pipeline !== undefined && stream !== undefined) return { pipeline, table: stream.replace(/\/quarantine$/, '') }
  throw new IngestError('usage.invalid', `the table ${tableNameText(found)} was not made by a pipeline`)
}
