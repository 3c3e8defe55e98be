import type { BatchOptions, Rejection } from '../columnar/batch-writer.ts'
import type { Clock } from '../core/clock.ts'
import { IngestError } from '../core/errors.ts'
import type { Queue, QueueRecord, ReceivedRecord } from '../queue/queue.ts'
import type { Schema } from '../schema/types.ts'
import type { StateStore } from '../state/state-store.ts'
import type { IngestBatch, Receipt } from './batch.ts'
import type { Encoding } from './frames.ts'
import { columnsOfRecords } from './infer-columns.ts'
import { addRanges, type Intervals } from './intervals.ts'
import type { PushLimits } from './payload.ts'
import type { TableSchema } from './schemas.ts'
import { keepRejections } from './stored-rejections.ts'
import type { PushTable, PushTables, TablePolicy } from './tables.ts'

/** Records of a body and those that do not fit. Runs here or on a worker thread. */
export type Validate = (input: ValidateInput) => Promise<Validation>

export interface ValidateInput {
  /** Names this pair of schema and options, so that what was prepared for them is found again. */
  key: string
  schema: Schema
  options: BatchOptions
  body: Uint8Array
  encoding: Encoding
  limits: PushLimits
}

export interface Validation {
  records: number
  rejections: readonly Rejection[]
}

/** A batch that was checked by writing it into the file it will be committed in. */
export interface Written extends Validation {
  /** Its rows are in the file, which is not closed before `stored` is called. */
  kept: boolean
  /** The batch is in the queue by this receipt, or by none when that failed: the file may hold it all the same. */
  stored(receipt?: string): void
}

/**
 * With `whole` nothing of the batch is kept unless all of it fits. The batch has its place in a file when this resolves; the
 * promise inside is the end of writing it. Undefined: the batch has to go the long way.
 */
export type WriteThrough = (
  table: PushTable,
  schema: TableSchema,
  header: BatchHeader,
  batch: { body: Uint8Array; whole: boolean },
) => Promise<{ written: Promise<Written | undefined> } | undefined>

export interface ReceivePorts {
  queue: Pick<Queue, 'send'>
  /** Where receiver and flusher are one process: spares a second decompression and a second parse of every batch. */
  through?: { write: WriteThrough; send(records: readonly QueueRecord[]): Promise<readonly string[]> }
  tables: PushTables
  validate: Validate
  state: StateStore
  clock: Clock
  limits: PushLimits
}

/**
 * The place of a batch in its session. Batches are checked and written beside each other, on several threads; they begin and
 * go into the queue one after the other, so that rows stand in the table in the order they were sent.
 */
export interface Turn {
  /** Resolves when the batch before has its place in a file, or needs none. */
  toBegin: Promise<void>
  begun(): void
  /** Resolves when the batch before has been handed to the queue, or has failed. */
  toSend: Promise<void>
  /** Lets the next batch go, wherever it waits. */
  pass(): void
}

const alwaysMyTurn: Turn = { toBegin: Promise.resolve(), begun() {}, toSend: Promise.resolve(), pass() {} }

/** Gives out the turns of one session, in the order they are asked for. */
export function turns(): () => Turn {
  let lastBegun: Promise<void> = Promise.resolve()
  let lastSent: Promise<void> = Promise.resolve()
  return () => {
    const begun = Promise.withResolvers<void>()
    const sent = Promise.withResolvers<void>()
    const [toBegin, toSend] = [lastBegun, lastSent]
    lastBegun = begun.promise
    lastSent = sent.promise
    return {
      toBegin,
      begun: begun.resolve,
      toSend,
      pass() {
        begun.resolve()
        sent.resolve()
      },
    }
  }
}

const MAX_REASONS = 100
/** Characters of a column in a reason: a field without one may have any name. */
const MAX_NAME = 256

/**
 * How the kernel reads the rows of a table. They travel with the batch, so that the file is written by the very rules the
 * ack was given by, whatever is configured by then.
 */
function optionsFor(policy: TablePolicy, limits: PushLimits, evolves: boolean): BatchOptions {
  return {
    // A field that may become a column is first of all to be heard of.
    unknownFields: policy.onReject === 'rescue' && !evolves ? 'rescue' : 'reject',
    reject: 'row',
    maxRecordBytes: limits.recordBytes,
  }
}

/**
 * Validates a batch and makes it durable: when it resolves, the ack may be sent. A batch whose records are all left out
 * still takes its place in the queue, without rows, so that the session's committed offsets pass it.
 *
 * @throws IngestError `push.count_mismatch`, `push.too_large`, `push.frame_invalid`, `push.schema_version_unknown` (all
 *   fix), `queue.full`, `queue.unavailable` (retry); nothing is durable then, or it is unknown
 */
export async function receive(
  table: PushTable,
  batch: IngestBatch,
  ports: ReceivePorts,
  turn: Turn = alwaysMyTurn,
): Promise<Receipt> {
  try {
    return await receiveInTurn(table, batch, ports, turn)
  } finally {
    turn.pass()
  }
}

async function receiveInTurn(table: PushTable, batch: IngestBatch, ports: ReceivePorts, turn: Turn): Promise<Receipt> {
  await turn.toBegin
  const schema = await ports.tables.schemaAt(table, batch.schemaVersion ?? table.newest.version)
  const evolves = mayEvolve(table, batch)
  const options = optionsFor(table.policy, ports.limits, evolves)
  const header = headerFor(batch, schema.version, JSON.stringify(options), ports.clock.now())
  const whole = table.policy.onReject === 'batch' || evolves
  const writing = await ports.through?.write(table, schema, header, { body: batch.body, whole })
  turn.begun()
  const written = await writing?.written
  try {
    const validation =
      written ??
      (await ports.validate({
        key: `${table.name}#${schema.version}#${header.options}`,
        schema: schema.schema,
        options,
        body: batch.body,
        encoding: batch.encoding,
        limits: ports.limits,
      }))
    const unknown = validation.rejections.filter(({ code }) => code === 'unknown_field')
    if (evolves && unknown.length > 0) {
      const records = offsetsOf(unknown, 0)
      const evolved = await ports.tables.addColumns(table, columnsOfRecords(batch, ports.limits, records))
      const now = evolved.newest.version
      // Checked again with the new columns. What could not become one stays unknown, and is rescued or rejected.
      if (now !== schema.version || table.policy.onReject === 'rescue')
        return await receiveInTurn(evolved, { ...batch, schemaVersion: now }, ports, turn)
    }
    if (validation.records !== batch.count)
      throw new IngestError(
        'push.count_mismatch',
        `got ${validation.records} records, wanted ${batch.count} as the frame says; count the records of the rows sent`,
      )
    const receipt = receiptOf(table.policy, batch, schema.version, validation.rejections)
    const record = queueRecord(table.name, header, batch, receipt)
    if (receipt.rejectedRanges.length > 0) await keepRejections(batch, receipt, ports)
    await turn.toSend
    const sent = written?.kept ? ports.through!.send([record]) : ports.queue.send([record])
    turn.pass()
    const [place] = (await sent) ?? []
    written?.stored(place)
    return receipt
  } finally {
    written?.stored()
  }
}

const mayEvolve = (table: PushTable, batch: IngestBatch) =>
  table.policy.schemaEvolution === 'add_columns' && batch.schemaVersion === undefined

function receiptOf(
  policy: TablePolicy,
  batch: IngestBatch,
  schemaVersion: number,
  rejections: readonly Rejection[],
): Receipt {
  const end = batch.offset + batch.count
  const whole = policy.onReject === 'batch' && rejections.length > 0
  return {
    schemaVersion,
    rejectedRanges: whole ? [[batch.offset, end]] : offsetsOf(rejections, batch.offset),
    rejected: rejections.slice(0, MAX_REASONS).map(({ record, column, code, got, wanted }) => ({
      offset: batch.offset + record,
      column: column.slice(0, MAX_NAME),
      code,
      got,
      wanted,
    })),
  }
}

const offsetsOf = (rejections: readonly Rejection[], first: number): Intervals =>
  addRanges(
    [],
    rejections.map(({ record }) => [first + record, first + record + 1]),
  )

/** The header of a queue record: everything a flush needs to know about its body. */
export interface BatchHeader {
  session: string
  from: number
  to: number
  encoding: Encoding
  schemaVersion: number
  /** BatchOptions as JSON. */
  options: string
  rejected: number
  atMs: number
}

function headerFor(batch: IngestBatch, schemaVersion: number, options: string, atMs: number): BatchHeader {
  const { session, offset, count, encoding } = batch
  return { session, from: offset, to: offset + count, encoding, schemaVersion, options, rejected: 0, atMs }
}

function queueRecord(table: string, header: BatchHeader, batch: IngestBatch, receipt: Receipt): QueueRecord {
  const rejected = receipt.rejectedRanges.reduce((sum, [from, to]) => sum + to - from, 0)
  const body = rejected === batch.count ? new Uint8Array() : batch.body
  return { group: table, header: { ...header, rejected }, body }
}

/** The header as `receive` wrote it. */
export function headerOf(record: ReceivedRecord): BatchHeader {
  return record.header as unknown as BatchHeader
}
