import type { BatchOptions, BatchWriter, FinishedFile } from '../columnar/batch-writer.ts'
import { IngestError, invariant } from '../core/errors.ts'
import type { Schema } from '../schema/types.ts'
import type { StorageWriter } from '../storage/storage.ts'
import type { Encoding } from './frames.ts'
import type { Intervals } from './intervals.ts'
import { giveBack, withRows } from './payload.ts'
import type { Validation } from './receive.ts'
import { keepRecords, surveyRecords } from './records.ts'
import { checkRows } from './validate.ts'

/** One Parquet file being written. Not in the log, so invisible: it becomes part of the table when it is committed. */
export interface TableFile {
  /** Appends the rows of a batch that was checked before; with `keep` only the records of these positions. */
  append(rows: { body: Uint8Array; encoding: Encoding; keep?: Intervals }): Promise<void>
  /** Checks a batch and appends what fits, in one pass where that is safe. An error that is not lost with the file leaves it as it was. */
  add(batch: NewBatch): Promise<Added>
  /** Ends the file; it is in storage when this resolves. Undefined when it would have no rows. */
  finish(): Promise<FinishedFile | undefined>
  /** Leaves nothing behind. */
  abort(): Promise<void>
}

/** A batch as it came. */
export interface NewBatch {
  body: Uint8Array
  encoding: Encoding
  /** Records, as the frame says. */
  count: number
  /** Nothing of it is appended when one record does not fit: the table's policy has to look at it first. */
  whole: boolean
}

export interface Added extends Validation {
  /** Whether its rows are in the file: not when the count is another, or one of a `whole` batch does not fit. */
  kept: boolean
}

/** @throws IngestError `push.too_large`, `push.frame_invalid` (fix): the batch is refused and the file is as it was */
export const isRefusal = (error: unknown): boolean => error instanceof IngestError && error.code.startsWith('push.')

export interface TableFileTarget {
  /** In storage. */
  path: string
  schema: Schema
  options: BatchOptions
  /** Names this pair of schema and options. */
  key: string
  /** Files of one table that are filled beside each other have different lanes, from 0. */
  lane: number
  /** Of one batch, decompressed; as checked before the ack. */
  batchBytes: number
}

/** Opens a file here or on a worker thread. */
export type OpenTableFile = (target: TableFileTarget) => Promise<TableFile>

export type CreateWriter = (schema: Schema, options: BatchOptions) => BatchWriter

/** A file made on this thread, its bytes given to `sink` as they are ready. */
export function tableFile(target: TableFileTarget, sink: StorageWriter, createWriter: CreateWriter): TableFile {
  const batches = createWriter(target.schema, target.options)
  let records = 0

  async function write() {
    for (const piece of joined(batches.take())) await sink.write(piece)
  }

  /** Appends a message of its own, and says what of it did not fit. */
  async function appendWhole(rows: Uint8Array): Promise<Validation> {
    const before = batches.rows
    batches.append(rows, true)
    const rejections = batches.takeRejected().map((rejection) => ({ ...rejection, record: rejection.record - records }))
    const found = batches.rows - before + rejections.length
    records += found
    await write()
    return { records: found, rejections }
  }

  return {
    append: ({ body, encoding, keep }) =>
      withRows(body, encoding, target.batchBytes, async (rows) => {
        await appendWhole(keep ? keepRecords(rows, keep) : rows)
      }),

    add: ({ body, encoding, count, whole }) =>
      withRows(body, encoding, target.batchBytes, async (rows) => {
        const survey = surveyRecords(rows)
        if (survey.records !== count) return { records: survey.records, rejections: [], kept: false }
        if (whole || !survey.plain) {
          const validation = checkRows(target, rows)
          if (whole && validation.rejections.length > 0) return { ...validation, kept: false }
        }
        const validation = await appendWhole(rows)
        invariant(validation.records === count, 'a batch of plain lines had another number of records than lines')
        return { ...validation, kept: true }
      }),

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

/** Pages are many and small, a row group is large: pieces of about this size cost neither many writes nor a large block. */
const PIECE_BYTES = 1 << 20

/** Each piece has its buffer for itself. */
function* joined(pages: readonly Uint8Array[]): Generator<Uint8Array> {
  for (let from = 0; from < pages.length; ) {
    let bytes = 0
    let to = from
    while (to < pages.length && bytes < PIECE_BYTES) bytes += pages[to++]!.length
    const piece = Buffer.allocUnsafeSlow(bytes)
    for (let at = 0; from < to; from++) {
      const page = pages[from]!
      piece.set(page, at)
      at += page.length
      if (page.byteLength === page.buffer.byteLength) giveBack(page.buffer)
    }
    yield piece
  }
}
