import { createHash } from 'node:crypto'
import type { Metadata, Protocol } from '../delta/actions.ts'
import type { TableSnapshot } from '../delta/table.ts'
import { type Landing, plainLanding } from '../load/landing.ts'
import { EPOCH } from '../load/sidecar.ts'
import { fieldsOf, replacedColumns, withoutSchema } from '../load/target.ts'
import type { Load } from '../state/streams.ts'
import { driftOf, schemaOfCopy } from './follow-schema.ts'
import { keepsHistory, mergesByKey, type StreamRun, tableSchema } from './stream-run.ts'

/** What a copy was begun as, kept with it so that every piece, the swap and each process that goes on with it agree. */
export interface LoadPlan {
  /** What its files are written with. Undefined for a history that goes on, which follows the stream's columns by itself. */
  landing?: Landing
  /** The table's new columns, where it gets other ones. */
  metadata?: Metadata
  protocol?: Protocol
  /** It is a full refresh: the source is believed however few rows it has. */
  refresh: boolean
  /** The versions that a history has so far stay. */
  keepsVersions: boolean
}

/** A plan whose columns are known. */
export type Settled = LoadPlan & { landing: Landing }

export const planOf = (load: Load): LoadPlan => load.plan as unknown as LoadPlan

/**
 * The columns the table gets: exactly the stream's by a full refresh that was asked for, else the ones its policy allows.
 * A history outlives a copy wherever its columns do, and follows them before it.
 */
export async function planLoad(run: StreamRun): Promise<LoadPlan> {
  const { task, ports, stream, log } = run
  const table = await log.read()
  const refresh = task.fullRefresh
  const keepsVersions = keepsHistory(task) && !(refresh && task.table.dropsHistory)
  if (keepsVersions && !driftOf(run, table).unfollowed) return { refresh, keepsVersions }
  if (!keepsHistory(task) && (!refresh || task.resync)) {
    const { landing, evolution } = schemaOfCopy(run, table)
    return { landing, ...(evolution && withoutSchema(evolution)), refresh, keepsVersions: false }
  }
  const evolution = replacedColumns(table, tableSchema(task, stream.schema), ports.random)
  const landing = plainLanding(fieldsOf(evolution ?? table, stream.schema))
  return { landing, ...(evolution && withoutSchema(evolution)), refresh, keepsVersions: false }
}

/** What was selected: a copy of another selection cannot go on. */
export function fingerprintOf({ task, stream }: StreamRun): string {
  const { source, columns, key, mode, filter, scdType, schemaDrift = null } = task.table
  const selected = [source.schema, source.name, columns, key, mode, filter ?? null, scdType, stream.schema, schemaDrift]
  return createHash('sha256').update(JSON.stringify(selected)).digest('hex')
}

/** The table as the copy shows it: its columns, and for a table that is merged into a new memory of deletes. */
export function loadMetadata({ task }: StreamRun, snapshot: TableSnapshot, plan: LoadPlan, load: Load): Metadata {
  const { configuration } = snapshot.metadata
  // What the table was told while it was copied holds too.
  const metadata = plan.metadata
    ? { ...plan.metadata, configuration: { ...configuration, ...plan.metadata.configuration } }
    : snapshot.metadata
  const remembers = mergesByKey(task) && snapshot.version > 0 && !plan.keepsVersions
  if (!remembers) return metadata
  return { ...metadata, configuration: { ...metadata.configuration, [EPOCH]: load.id } }
}
