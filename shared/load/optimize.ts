import type { Clock } from '../core/clock.ts'
import { IngestError } from '../core/errors.ts'
import type { Random } from '../core/random.ts'
import type { AddFile } from '../delta/actions.ts'
import { physicalName } from '../delta/column-mapping.ts'
import { commit } from '../delta/commit.ts'
import {
  CLUSTERED_TAG,
  type CompactionBin,
  type CompactionOptions,
  clusterTag,
  planCompaction,
} from '../delta/plan-compaction.ts'
import { readSnapshot } from '../delta/snapshot.ts'
import { addFile } from '../delta/stats.ts'
import type { CommitResult, TableSnapshot } from '../delta/table.ts'
import { findField } from '../schema/names.ts'
import type { Field } from '../schema/types.ts'
import type { Storage } from '../storage/storage.ts'
import { clusteredSql, MAX_CLUSTERING_COLUMNS } from './cluster-order.ts'
import type { Engine } from './engine.ts'
import { readTableSql } from './read-table.ts'
import { openWorkspace } from './workspace.ts'
import { writeFiles } from './write-files.ts'

export interface OptimizePorts {
  engine: Engine
  storage: Storage
  clock: Clock
  random: Random
  signal?: AbortSignal
}

export interface OptimizeResult {
  /** The version the table is at afterwards. */
  version: number
  filesRemoved: number
  filesAdded: number
  bytesRemoved: number
  bytesAdded: number
  /** How often another writer was first and the work was done again. */
  conflicts: number
}

/** A table that is rewritten by others as fast as by us is left for another time. */
const MAX_CONFLICTS = 5

/**
 * Joins small files of a table into files of the target size, leaves out rows that are deleted, and orders rows by the
 * clustering columns. Rows stay as they are: readers see the same table, and change data feeds see nothing. Safe beside
 * a running writer: where it removes a file that is being joined, it wins and the work is planned again.
 *
 * @throws IngestError `table.missing`, `config.invalid` for a clustering column that is not there (both fix),
 *   `table.contended` (retry)
 */
export async function optimizeTable(
  root: string,
  ports: OptimizePorts,
  options: CompactionOptions = {},
): Promise<OptimizeResult> {
  let table = await readSnapshot(ports.storage, root)
  if (!table) throw new IngestError('table.missing', `there is no table at ${root}`)
  checkClustering(table, options.clusteringColumns ?? [])
  const done = { filesRemoved: 0, filesAdded: 0, bytesRemoved: 0, bytesAdded: 0, conflicts: 0 }
  let bins = planCompaction(table, options)
  while (bins.length > 0) {
    ports.signal?.throwIfAborted()
    const [bin, ...rest] = bins as [CompactionBin, ...CompactionBin[]]
    const added = await rewrite(table, bin, ports, options)
    const result = await commitBin(table, bin, added, ports, options)
    if (result.kind === 'committed') {
      done.filesRemoved += bin.files.length
      done.filesAdded += added.length
      done.bytesRemoved += bin.files.reduce((sum, { size }) => sum + size, 0)
      done.bytesAdded += added.reduce((sum, { size }) => sum + size, 0)
      table = result.snapshot
      bins = rest
      continue
    }
    await ports.storage.delete(added.map(({ path }) => `${root}/${path}`))
    if (++done.conflicts > MAX_CONFLICTS) {
      throw new IngestError('table.contended', `the files of the table ${root} are rewritten by another process`)
    }
    table = (await readSnapshot(ports.storage, root, { after: table })) ?? table
    bins = planCompaction(table, options)
  }
  return { version: table.version, ...done }
}

async function rewrite(
  table: TableSnapshot,
  bin: CompactionBin,
  { engine, storage, clock, random }: OptimizePorts,
  options: CompactionOptions,
): Promise<AddFile[]> {
  const { metadata } = table
  // Partition values are in the log, and a void column is in no file.
  const fields = table.schema.fields.filter(
    ({ name, type }) => !metadata.partitionColumns.includes(name) && type.kind !== 'void',
  )
  const tag = clusterTag(options.clusteringColumns ?? [])
  return await engine.session(async (session) => {
    const work = await openWorkspace(session, table, { storage, random })
    const rows = await readTableSql(session, storage, table, { files: bin.files, columns: fields, names: 'physical' })
    const order = (options.clusteringColumns ?? []).map((name) => physicalPath(table, name))
    const written = await writeFiles(
      work,
      clusteredSql(rows, order),
      { random },
      {
        fields,
        ...(options.targetBytes === undefined ? {} : { targetBytes: options.targetBytes }),
      },
    )
    return written.map((file) =>
      addFile(file.name, file, { fields }, metadata, {
        modificationTimeMs: clock.now(),
        partitionValues: bin.partitionValues,
        ...(tag === undefined ? {} : { tags: { [CLUSTERED_TAG]: tag } }),
      }),
    )
  })
}

function commitBin(
  table: TableSnapshot,
  bin: CompactionBin,
  add: readonly AddFile[],
  ports: OptimizePorts,
  { clusteringColumns = [] }: CompactionOptions,
): Promise<CommitResult> {
  return commit(
    table,
    {
      operation: 'OPTIMIZE',
      operationParameters: { predicate: [], zOrderBy: clusteringColumns, auto: false },
      remove: bin.files,
      add,
      reads: 'files',
    },
    ports,
  )
}

function checkClustering(table: TableSnapshot, columns: readonly string[]) {
  if (columns.length > MAX_CLUSTERING_COLUMNS) {
    throw new IngestError(
      'config.invalid',
      `a table is clustered by at most ${MAX_CLUSTERING_COLUMNS} columns, got ${columns.length}`,
    )
  }
  for (const name of columns) physicalPath(table, name)
}

/** `address.city` as the names inside data files. */
function physicalPath(table: TableSnapshot, column: string): string[] {
  const path: string[] = []
  let fields: readonly Field[] = table.schema.fields
  let found: Field | undefined
  for (const name of column.split('.')) {
    found = findField(fields, name)
    if (!found) break
    path.push(physicalName(found))
    fields = found.type.kind === 'struct' ? found.type.fields : []
  }
  const partitioned = path.length === 1 && found && table.metadata.partitionColumns.includes(found.name)
  if (found && !partitioned && !['struct', 'array', 'map', 'void'].includes(found.type.kind)) return path
  throw new IngestError(
    'config.invalid',
    `the table ${table.root} cannot be clustered by ${column}: ${partitioned ? 'it is partitioned by it' : 'there is no such plain column'}`,
  )
}
