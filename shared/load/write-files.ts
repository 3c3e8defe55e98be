import { join } from 'node:path'
import type { FinishedFile } from '../columnar/batch-writer.ts'
import type { Clock } from '../core/clock.ts'
import type { Random } from '../core/random.ts'
import type { AddFile } from '../delta/actions.ts'
import { addFile } from '../delta/stats.ts'
import type { Field } from '../schema/types.ts'
import { type ColumnStatistics, leafStats } from './copy-stats.ts'
import { storeFile } from './local-files.ts'
import { fieldIds, literal } from './sql.ts'
import type { Workspace } from './workspace.ts'

/**
 * A column with more values than this in a row group gets no dictionary. The engine's own bound, a fifth of the rows, costs
 * a merge 7 % more: every column of distinct values is hashed that far before it is given up.
 */
const DICTIONARY_VALUES = 4096

/** A file is closed and the next one begun at about this size. */
const TARGET_BYTES = 128 << 20

export interface WrittenFile extends FinishedFile {
  /** Relative to the table's root. */
  name: string
}

/**
 * Writes a relation as Parquet files under the table's root: durable, and in no log yet. No rows, no file. The relation
 * has exactly the columns `fields`, in order and by physical name. The engine's COPY writes them (decision 0010).
 */
export async function writeFiles(
  work: Workspace,
  relation: string,
  ports: { random: Random },
  options: WriteOptions = {},
): Promise<WrittenFile[]> {
  const full = { fields: work.fields, ...options }
  return storeFiles(work, await copyOut(work, relation, ports, full), ports, full)
}

export interface WriteOptions {
  fields?: readonly Field[]
  /** Names begin with this. Default `part-`. */
  prefix?: string
  targetBytes?: number
}

/** Files of this machine that `storeFiles` makes files of the table. */
type LocalFiles = readonly Record<string, unknown>[]

/** The first half of `writeFiles`: what takes the engine's time. */
export async function copyOut(
  { session }: Workspace,
  relation: string,
  { random }: { random: Random },
  { fields, targetBytes = TARGET_BYTES }: WriteOptions & { fields: readonly Field[] },
): Promise<LocalFiles> {
  const ids = fieldIds(fields)
  return session.rows(
    `copy (${relation}) to ${literal(join(session.folder, `out-${random.uuid()}`))} (format parquet, compression snappy,
      return_stats, write_empty_file false, dictionary_size_limit ${DICTIONARY_VALUES}, write_bloom_filter false, file_size_bytes '${targetBytes}B'${ids ? `, field_ids ${ids}` : ''})`,
  )
}

/** The second half: what takes the disk's or the network's time, and may run beside the next `copyOut`. */
export async function storeFiles(
  { storage, table }: Workspace,
  local: LocalFiles,
  { random }: { random: Random },
  { fields, prefix = 'part-' }: WriteOptions & { fields: readonly Field[] },
): Promise<WrittenFile[]> {
  const files: WrittenFile[] = []
  for (const row of local) {
    const name = `${prefix}${random.uuid()}.snappy.parquet`
    await storeFile(storage, `${table.root}/${name}`, String(row.filename))
    files.push({
      name,
      rows: Number(row.count),
      sizeBytes: Number(row.file_size_bytes),
      rejected: 0,
      stats: leafStats(fields, statisticsOf(row.column_statistics)),
    })
  }
  return files
}

/** Files of the table's own columns as what a commit adds. */
export function addFiles(
  work: Workspace,
  files: readonly WrittenFile[],
  { clock }: { clock: Clock },
  partitionValues: AddFile['partitionValues'] = {},
): AddFile[] {
  const { schema, metadata } = work.table
  const written = { fields: schema.fields.filter(({ name }) => !metadata.partitionColumns.includes(name)) }
  return files.map((file) =>
    addFile(file.name, file, written, metadata, { modificationTimeMs: clock.now(), partitionValues }),
  )
}

type JsMap = readonly { key: unknown; value: unknown }[]

function statisticsOf(map: unknown): Map<string, ColumnStatistics> {
  return new Map(
    (map as JsMap).map(({ key, value }) => [
      String(key),
      new Map((value as JsMap).map((entry) => [String(entry.key), String(entry.value)])),
    ]),
  )
}
