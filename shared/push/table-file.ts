import type { BatchOptions, BatchWriter, FinishedFile } from '../columnar/batch-writer.ts'
import type { Schema } from '../schema/types.ts'
import type { StorageWriter } from '../storage/storage.ts'
import type { Encoding } from './frames.ts'
import type { Intervals } from './intervals.ts'
import { decompress } from './payload.ts'
import { keepRecords } from './records.ts'

/** One Parquet file being written. Not in the log, so invisible: it becomes part of the table when it is committed. */
export interface TableFile {
  /** Appends the rows of a batch; with `keep` only the records of these positions. */
  append(rows: { body: Uint8Array; encoding: Encoding; keep?: Intervals }): Promise<void>
  /** Ends the file; it is in storage when this resolves. Undefined when it would have no rows. */
  finish(): Promise<FinishedFile | undefined>
  /** Leaves nothing behind. */
  abort(): Promise<void>
}

export interface TableFileTarget {
  /** In storage. */
  path: string
  schema: Schema
  options: BatchOptions
  /** Of one batch, decompressed; as checked before the ack. */
  batchBytes: number
}

/** Opens a file here or on a worker thread. */
export type OpenTableFile = (target: TableFileTarget) => Promise<TableFile>

export type CreateWriter = (schema: Schema, options: BatchOptions) => BatchWriter

/** A file made on this thread, its bytes given to `sink` as they are ready. */
export function tableFile(target: TableFileTarget, sink: StorageWriter, createWriter: CreateWriter): TableFile {
  const batches = createWriter(target.schema, target.options)

  async function write() {
    for (const bytes of batches.take()) await sink.write(bytes)
  }

  return {
    async append({ body, encoding, keep }) {
      const rows = decompress(body, encoding, target.batchBytes)
      batches.append(keep ? keepRecords(rows, keep) : rows)
      // The last record of a batch may lack its line break and must not run into the next batch.
      batches.append(LINE_BREAK)
      batches.takeRejected()
      await write()
    },

    async finish() {
      const finished = batches.finish()
      if (finished.rows === 0) {
        await sink.abort()
        return undefined
      }
      await write()
      await sink.finish()
      return finished
    },

    abort: () => sink.abort(),
  }
}

const LINE_BREAK = new Uint8Array([10])
