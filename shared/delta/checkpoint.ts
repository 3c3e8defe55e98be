import { createBatchWriter } from '../columnar/parquet-writer.ts'
import type { Row } from '../core/change.ts'
import { invariant } from '../core/errors.ts'
import { parseTypeText } from '../schema/type-text.ts'
import type { Storage } from '../storage/storage.ts'
import type { RemoveFile } from './actions.ts'
import { intervalMs } from './interval.ts'
import { checkpointPath, lastCheckpointPath } from './log-files.ts'
import type { TableSnapshot } from './table.ts'

const DEFAULT_INTERVAL = 10
const WEEK_MS = 7 * 86_400_000
const BATCH = 1000

const file = 'path:string,partitionValues:map<string,string>,size:long'
const vector = 'struct<storageType:string,pathOrInlineDv:string,offset:int,sizeInBytes:int,cardinality:long>'
const rowIds = 'baseRowId:long,defaultRowCommitVersion:long'

/** One row an action (Delta protocol, "Checkpoint Schema"). */
const checkpointType = parseTypeText(
  `struct<
    txn:struct<appId:string,version:long,lastUpdated:long>,
    add:struct<${file},modificationTime:long,dataChange:boolean,tags:map<string,string>,deletionVector:${vector},${rowIds},clusteringProvider:string,stats:string>,
    remove:struct<${file},deletionTimestamp:long,dataChange:boolean,extendedFileMetadata:boolean,deletionVector:${vector},${rowIds}>,
    metaData:struct<id:string,name:string,description:string,format:struct<provider:string,options:map<string,string>>,schemaString:string,partitionColumns:array<string>,configuration:map<string,string>,createdTime:long>,
    protocol:struct<minReaderVersion:int,minWriterVersion:int,readerFeatures:array<string>,writerFeatures:array<string>>,
    domainMetadata:struct<domain:string,configuration:string,removed:boolean>
  >`,
)

/** True when a log checkpoint is due at the table's version: every tenth, or as `delta.checkpointInterval` says. */
export function checkpointDue(table: TableSnapshot): boolean {
  const interval = Number(table.metadata.configuration['delta.checkpointInterval'])
  return table.version > 0 && table.version % (interval >= 1 ? interval : DEFAULT_INTERVAL) === 0
}

/**
 * Writes the table's version as a classic log checkpoint, which every reader knows, and points `_last_checkpoint` at it.
 * Writing it twice, or two writers at once, does no harm: both write the same.
 */
export async function writeLogCheckpoint(storage: Storage, table: TableSnapshot, nowMs: number): Promise<void> {
  const path = checkpointPath(table.root, table.version)
  const { rows, sizeBytes } = await writeActions(storage, path, checkpointActions(table, nowMs))
  const hint = { version: table.version, size: rows, sizeInBytes: sizeBytes, numOfAddFiles: table.files.size }
  await storage.put(lastCheckpointPath(table.root), new TextEncoder().encode(JSON.stringify(hint)))
}

/** Writes actions as one Parquet file of a log checkpoint. */
export async function writeActions(
  storage: Storage,
  path: string,
  actions: Iterable<Row>,
): Promise<{ rows: number; sizeBytes: number }> {
  invariant(checkpointType.kind === 'struct', 'a log checkpoint has columns')
  const batch = createBatchWriter({ fields: checkpointType.fields })
  const out = storage.writer(path)
  const held: Row[] = []
  // The writer's pieces are small: a page, a header.
  const write = async () => {
    const pieces = batch.take()
    if (pieces.length > 0) await out.write(Buffer.concat(pieces))
  }
  const flush = async () => {
    batch.appendRows(held.splice(0))
    await write()
  }
  try {
    for (const action of actions) if (held.push(action) === BATCH) await flush()
    await flush()
    const { rows, rejected } = batch.finish()
    invariant(rejected === 0, `${rejected} actions do not fit the schema of a log checkpoint`)
    await write()
    return { rows, ...(await out.finish()) }
  } catch (error) {
    await out.abort()
    throw error
  }
}

/** The removed files that vacuum must still keep and readers of old versions may still want. */
export function unexpiredTombstones(table: TableSnapshot, nowMs: number): Map<string, RemoveFile> {
  const keptMs = intervalMs(table.metadata.configuration['delta.deletedFileRetentionDuration'], WEEK_MS)
  return new Map([...table.tombstones].filter(([, { deletionTimestamp }]) => (deletionTimestamp ?? 0) > nowMs - keptMs))
}

function* checkpointActions(table: TableSnapshot, nowMs: number): Generator<Row> {
  yield { protocol: table.protocol }
  yield { metaData: table.metadata }
  for (const txn of table.txns.values()) yield { txn }
  for (const domainMetadata of table.domains.values()) yield { domainMetadata }
  for (const add of table.files.values()) yield { add: { ...add, dataChange: false } }
  for (const remove of unexpiredTombstones(table, nowMs).values()) {
    yield { remove: { ...remove, dataChange: false, stats: undefined, tags: undefined } }
  }
}
