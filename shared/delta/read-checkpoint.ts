import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from 'node:zlib'
import { parquetReadObjects } from 'hyparquet'
import { IngestError } from '../core/errors.ts'
import type { Storage } from '../storage/storage.ts'
import type { Action } from './actions.ts'
import { canonicalPath, locate } from './file-path.ts'
import { logFolder } from './log-files.ts'
import { decodeActions, withoutNulls } from './log-text.ts'
import { unpackHadoopLz4, unpackLz4 } from './lz4.ts'
import { parsedStatsText } from './parsed-stats.ts'

/** The files of one complete log checkpoint: one, or every part of a multi-part one. */
export interface CheckpointFiles {
  version: number
  paths: readonly string[]
}

/**
 * The actions of a log checkpoint, a file's at a time: classic, multi-part and V2 as JSON or Parquet with its sidecars
 * (Delta protocol, "Checkpoints"). Undefined when a file is gone, as log cleanup may take it while we read.
 * @throws IngestError `table.corrupt` (fix) naming a file that cannot be read
 */
export async function readCheckpoint(
  storage: Storage,
  root: string,
  checkpoint: CheckpointFiles,
): Promise<Action[] | undefined> {
  const actions: Action[] = []
  for (const path of checkpoint.paths) {
    const found = await readFile(storage, path)
    if (!found) return undefined
    for (const action of found) actions.push(action)
  }
  const sidecars = actions.flatMap((action) => ('sidecar' in action ? [action.sidecar as { path: string }] : []))
  for (const sidecar of sidecars) {
    const path = sidecarPath(sidecar.path, root, storage.url)
    const found = await readFile(storage, path)
    if (!found) throw new IngestError('table.corrupt', `the log checkpoint needs ${path}, which is missing; restore it`)
    for (const action of found) actions.push(action)
  }
  return actions
}

/** Where a sidecar is: its path is a name in `_sidecars/`, or absolute. */
export function sidecarPath(path: string, root: string, storageUrl: string): string {
  const canonical = canonicalPath(path)
  if (!canonical.includes('://')) return `${logFolder(root)}_sidecars/${canonical}`
  const place = locate(path, root, storageUrl)
  return 'storagePath' in place ? place.storagePath : place.url
}

async function readFile(storage: Storage, path: string): Promise<Action[] | undefined> {
  const bytes = await storage.get(path)
  if (!bytes) return undefined
  return path.endsWith('.json') ? decodeActions(bytes, path) : readParquetActions(bytes, path)
}

/** Decompression beyond what hyparquet brings. */
const parquetCompressors = {
  BROTLI: (input: Uint8Array) => brotliDecompressSync(input),
  LZ4: unpackHadoopLz4,
  LZ4_RAW: unpackLz4,
  ZSTD: (input: Uint8Array) => zstdDecompressSync(input),
  GZIP: (input: Uint8Array) => gunzipSync(input),
}

async function readParquetActions(bytes: Uint8Array, path: string): Promise<Action[]> {
  let rows: Record<string, unknown>[]
  try {
    const file = {
      byteLength: bytes.byteLength,
      slice: (start: number, end?: number) => bytes.slice(start, end).buffer as ArrayBuffer,
    }
    rows = await parquetReadObjects({ file, compressors: parquetCompressors })
  } catch (cause) {
    throw new IngestError('table.corrupt', `the log checkpoint ${path} is not readable; delete it or restore it`, {
      cause,
    })
  }
  return rows.flatMap((row) => {
    const kind = Object.keys(row).find((name) => row[name] != null)
    if (!kind) return []
    const action = withoutNulls(row[kind]) as Record<string, unknown>
    if (kind === 'add') {
      if (action.stats === undefined && action.stats_parsed) {
        const stats = parsedStatsText((row.add as Record<string, unknown>).stats_parsed)
        if (stats !== undefined) action.stats = stats
      }
      delete action.stats_parsed
      delete action.partitionValues_parsed
    }
    return [{ [kind]: action } as unknown as Action]
  })
}
