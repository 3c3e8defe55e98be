import { compareBytes } from '../core/byte-order.ts'
import type { AddFile } from './actions.ts'
import { columnBounds, fileRows } from './skipping.ts'
import type { TableSnapshot } from './table.ts'
import { type Comparable, compareValues } from './values.ts'

export interface CompactionOptions {
  /** Files are joined up to about this size. Default: `delta.targetFileSize`, or 128 MiB. */
  targetBytes?: number
  /** With fewer small files in a partition nothing is done there. Default 2. */
  smallFileCount?: number
  /** Rows are ordered by these columns inside a bin, and files not yet ordered so are taken whatever their size. */
  clusteringColumns?: readonly string[]
}

/** Files of one partition that are read together and written again. */
export interface CompactionBin {
  partitionValues: AddFile['partitionValues']
  files: readonly AddFile[]
  sizeBytes: number
}

/** Says by which columns a file's rows are ordered; readers pass it over. */
export const CLUSTERED_TAG = 'lakeflow.clustered'

const MIB = 1 << 20
const DEFAULT_TARGET = 128 * MIB
/** A file that has reached this share of the target is left as it is. */
const FULL_ENOUGH = 0.75
/** A file whose deletion vector leaves out more than this share of its rows is rewritten. */
const MUCH_DELETED = 0.2
/** Ordering needs many files at once, so that ranges come out narrow; memory spills beyond it. */
const CLUSTER_BIN_FILES = 16

/**
 * What to rewrite, from the log alone: small files, files with many deleted rows, and with clustering columns those that
 * are not ordered yet. Empty when the table is as it should be.
 */
export function planCompaction(table: TableSnapshot, options: CompactionOptions = {}): CompactionBin[] {
  const { smallFileCount = 2, clusteringColumns = [] } = options
  const targetBytes = options.targetBytes ?? propertyBytes(table) ?? DEFAULT_TARGET
  const cluster = clusterTag(clusteringColumns)
  const partitions = new Map<string, AddFile[]>()
  for (const file of table.files.values()) {
    const key = JSON.stringify(Object.entries(file.partitionValues).sort(([a], [b]) => compareBytes(a, b)))
    const files = partitions.get(key)
    if (files) files.push(file)
    else partitions.set(key, [file])
  }
  return [...partitions.values()].flatMap((files) => {
    const wanted = files.filter(
      (file) =>
        file.size < targetBytes * FULL_ENOUGH ||
        deletedShare(file) > MUCH_DELETED ||
        (cluster !== undefined && file.tags?.[CLUSTERED_TAG] !== cluster),
    )
    const ordered = clusteringColumns[0] === undefined ? wanted : byColumn(wanted, table, clusteringColumns[0])
    const bins = fill(ordered, cluster === undefined ? targetBytes : targetBytes * CLUSTER_BIN_FILES)
    return bins.filter(
      (bin) =>
        bin.files.length >= Math.max(2, smallFileCount) ||
        bin.files.some((file) => deletedShare(file) > MUCH_DELETED) ||
        (cluster !== undefined && bin.files.some((file) => file.tags?.[CLUSTERED_TAG] !== cluster)),
    )
  })
}

/** The value of `CLUSTERED_TAG` for these columns; undefined for none. */
export const clusterTag = (columns: readonly string[]): string | undefined =>
  columns.length === 0 ? undefined : columns.map((name) => encodeURIComponent(name.toLowerCase())).join(',')

/** In order, each bin as full as it gets. */
function fill(files: readonly AddFile[], limitBytes: number): CompactionBin[] {
  const bins: { partitionValues: AddFile['partitionValues']; files: AddFile[]; sizeBytes: number }[] = []
  for (const file of files) {
    const last = bins.at(-1)
    const size = file.size * (1 - deletedShare(file))
    if (last && last.sizeBytes + size <= limitBytes) {
      last.files.push(file)
      last.sizeBytes += size
    } else {
      bins.push({ partitionValues: file.partitionValues, files: [file], sizeBytes: size })
    }
  }
  return bins
}

function deletedShare(file: AddFile): number {
  const rows = fileRows(file)
  return file.deletionVector && rows ? file.deletionVector.cardinality / rows : 0
}

/** By the smallest value of a column, unknown ones last, so that a bin covers a narrow range. */
function byColumn(files: readonly AddFile[], table: TableSnapshot, column: string): AddFile[] {
  const least = new Map<AddFile, Comparable | undefined>(
    files.map((file) => [file, columnBounds(file, table, column.split('.'))?.min]),
  )
  return files.toSorted((a, b) => {
    const [left, right] = [least.get(a), least.get(b)]
    if (left === undefined || right === undefined) return left === right ? 0 : left === undefined ? 1 : -1
    return compareValues(left, right)
  })
}

/** `134217728`, `128mb` or `1g`. */
function propertyBytes(table: TableSnapshot): number | undefined {
  const match = /^(\d+)\s*([kmg]?)b?$/i.exec(table.metadata.configuration['delta.targetFileSize'] ?? '')
  if (!match) return undefined
  return Number(match[1]) * { '': 1, k: 1024, m: MIB, g: 1024 * MIB }[match[2]!.toLowerCase() as '' | 'k' | 'm' | 'g']
}
