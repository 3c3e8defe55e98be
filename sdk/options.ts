import type { Compression } from './batch.ts'
import type { Column } from './connection.ts'
import type { Rejection, ZerobusError } from './errors.ts'

export interface StreamOptions {
  /** Default `gzip`. `zstd` needs Node. */
  compression?: Compression
  /** A batch is sent when it holds this much JSON. Default 256 KiB, and 2 MiB where a gateway takes batches as requests. */
  maxBatchBytes?: number
  /** A batch is sent when its first record is this old, full or not; as a request, when those before are answered too. Default 20. */
  lingerMs?: number
  /** Records held here before `ingest...` waits. Default 32 MiB of JSON. */
  maxBufferedBytes?: number
  /** Reconnect and resume by itself. Default true. */
  recovery?: boolean
  /** Give up after this long without a connection. Default: 15 s for the first connection, never for later ones. */
  recoveryTimeoutMs?: number
  /** First pause before reconnecting; doubles up to 30 s, with jitter. Default 200. */
  recoveryBackoffMs?: number
  /** How long `flush` and `close` wait. Default 300,000. */
  flushTimeoutMs?: number
  /** Reconnect when records are in flight and the server has been silent this long. Default 60,000. */
  serverLackOfAckTimeoutMs?: number
  /** Let the session create the table from its first records, where the token and server allow it. */
  createTable?: boolean
  /** Resume this session instead of beginning one. */
  session?: string
  /** Keeps unacknowledged records on disk: `diskSpool` of `@lakeflow/zerobus/spool`. */
  spool?: Spool
  /** Every record up to this offset is durable. */
  onAck?(offset: bigint): void
  /** Every record up to this offset is in the table. */
  onCommit?(offset: bigint): void
  /** Records the table has no room for. Without this callback `flush` and `close` reject with them. */
  onReject?(rejections: readonly Rejection[], count: number): void
  /** The connection was lost and is being made again, or the stream failed for good (`isRetryable` false). */
  onError?(error: ZerobusError): void
  onSchema?(columns: readonly Column[]): void
}

/** Records a producer's crash must not lose. Offsets are the session's. */
export interface Spool {
  load(): Promise<{ session?: string; offset: number; records: string[] }>
  /** Resolves when the records are safe. */
  append(offset: number, records: readonly string[]): Promise<void>
  setSession(session: string): Promise<void>
  /** Records below `offset` are no longer needed. */
  trim(offset: number): Promise<void>
  close(): Promise<void>
}
