import type { BatchOptions } from '../columnar/batch-writer.ts'

/** How a pipeline is synced. Every field has a default that suits one machine. */
export interface SyncSettings {
  /** Streams at the same time. */
  streams: number
  /** Pieces of one full copy at the same time. */
  pieces: number
  /** Changes are committed at the first checkpoint after this many bytes of the source... */
  commitBytes: number
  /** ...or after this long. Progress of a piece is saved as often. */
  commitIntervalMs: number
  /** A lease that is not renewed for this long is free to take. */
  leaseMs: number
  /** Tries in a row without any progress, before a passing fault fails the stream. */
  attempts: number
  /** Rows of one stream and run that may be quarantined; one more stops the stream. */
  quarantineLimit: number
  /** A staged file is closed at about this size. */
  fileBytes: number
  batch: BatchOptions
}

export const defaultSettings: SyncSettings = {
  streams: 2,
  pieces: 2,
  commitBytes: 256 << 20,
  commitIntervalMs: 60_000,
  leaseMs: 30_000,
  attempts: 5,
  quarantineLimit: 1_000,
  fileBytes: 128 << 20,
  batch: {},
}
