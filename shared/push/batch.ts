import type { Encoding, RecordRejection } from './frames.ts'
import type { Intervals } from './intervals.ts'

/** One ingest message of a session, its rows as they came. */
export interface IngestBatch {
  session: string
  offset: number
  count: number
  encoding: Encoding
  body: Uint8Array
  schemaVersion?: number
}

/** What was made of a batch, once it is durable. */
export interface Receipt {
  schemaVersion: number
  /** Offsets of records left out. */
  rejectedRanges: Intervals
  /** The reasons of the first 100 of them. */
  rejected: readonly RecordRejection[]
}
