import * as z from 'zod'
import { IngestError } from '../core/errors.ts'

/** Version of the wire protocol: docs/protocol.md. It changes when a schema below does; a test holds their hash. */
export const PROTOCOL_VERSION = 1

/** Records of one ingest frame at most. */
const MAX_COUNT = 1_000_000
const MAX_HEADER_BYTES = 4096
/** Characters of what is wrong with a frame: unknown keys are named, and may be as many as fit in it. */
const MAX_DETAIL = 200

const offset = z.int().min(0).max(Number.MAX_SAFE_INTEGER)
const sessionId = z.string().regex(/^[A-Za-z0-9_-]{8,64}$/, 'a session id the server gave')
const tableName = z
  .string()
  .regex(
    /^[A-Za-z0-9_]{1,128}(\.[A-Za-z0-9_]{1,128}){2}$/,
    'a name catalog.schema.table of ASCII letters, digits and _',
  )

export const encodings = ['none', 'gzip', 'zstd'] as const
export type Encoding = (typeof encodings)[number]

/** Frames of the producer. One schema a message; unknown keys are refused. */
export const clientFrames = {
  /** Must be first. Without `session` a new one begins; with it that session is resumed. */
  open: z.strictObject({
    type: z.literal('open'),
    v: z.int(),
    table: tableName,
    session: sessionId.optional(),
    /** On resume: the first record the producer still holds. All before it were acknowledged, perhaps by another server. */
    durable: offset.optional(),
    /** Create the table from the schema of the first batch, where the token and the server allow it. */
    create: z.boolean().optional(),
  }),
  /** Records `offset` to `offset + count - 1` as NDJSON. In a binary frame the rows follow the header. */
  ingest: z.strictObject({
    type: z.literal('ingest'),
    offset,
    count: z.int().min(1).max(MAX_COUNT),
    encoding: z.enum(encodings),
    /** Text frames only: NDJSON when `encoding` is `none`, else base64 of the compressed NDJSON. */
    rows: z.string().optional(),
    /** Validate against this version of the table's schema instead of the newest. */
    schemaVersion: z.int().min(1).optional(),
  }),
  ping: z.strictObject({ type: z.literal('ping'), id: z.int().min(0).optional() }),
  /** No more records. The server answers `closed` once everything sent is durable. */
  close: z.strictObject({ type: z.literal('close') }),
}

const column = z.strictObject({ name: z.string(), type: z.string(), nullable: z.boolean() })
const rejection = z.strictObject({
  offset,
  column: z.string(),
  code: z.string(),
  got: z.string(),
  wanted: z.string(),
})

/** Beside every `durable`: what it covers and was not told before on this connection. */
const rejections = {
  /** Every record that was left out, as ranges `[from, to)` of offsets. */
  rejectedRanges: z.array(z.tuple([offset, offset])).optional(),
  /** The reasons of the first 100 of them. */
  rejected: z.array(rejection).optional(),
}

const windowSize = z.strictObject({ bytes: z.int().min(0), records: z.int().min(0) })

/** Frames of the server. `durable` and `committed` count from the session's start: records 0 to n-1 are. */
export const serverFrames = {
  opened: z.strictObject({
    type: z.literal('opened'),
    v: z.int(),
    session: sessionId,
    durable: offset,
    committed: offset,
    ...rejections,
    /** Absent while a table that the session will create does not exist. */
    schemaVersion: z.int().min(1).optional(),
    columns: z.array(column).optional(),
    window: windowSize,
    limits: z.strictObject({ messageBytes: z.int(), recordBytes: z.int(), batchBytes: z.int() }),
    encodings: z.array(z.enum(encodings)),
    binary: z.boolean(),
    /** Ingest frames may be posted here instead, each as the binary frame that is the body of one request. */
    post: z.strictObject({ url: z.url(), messageBytes: z.int(), window: windowSize }).optional(),
  }),
  ack: z.strictObject({
    type: z.literal('ack'),
    durable: offset,
    committed: offset,
    ...rejections,
    /** From here on, when the server is behind or the quota is used up. One batch may always be in flight. */
    window: windowSize.optional(),
  }),
  /** The table has a new schema. Batches from here on are validated against it. */
  schema: z.strictObject({ type: z.literal('schema'), schemaVersion: z.int().min(1), columns: z.array(column) }),
  /** The server closes in `inMs`: stop sending, wait for acks, connect again and resume. */
  drain: z.strictObject({ type: z.literal('drain'), inMs: z.int().min(0), reason: z.string() }),
  /** A server that sends nothing unasked tells here how far the session is. */
  pong: z.strictObject({
    type: z.literal('pong'),
    id: z.int().min(0).optional(),
    durable: offset.optional(),
    committed: offset.optional(),
    ...rejections,
  }),
  /** Always followed by a close of the connection. `expected`: the offset the server wanted next. */
  error: z.strictObject({
    type: z.literal('error'),
    code: z.string(),
    message: z.string(),
    remedy: z.string(),
    retryable: z.boolean(),
    retryAfterMs: z.int().min(0).optional(),
    expected: offset.optional(),
  }),
  closed: z.strictObject({ type: z.literal('closed'), durable: offset, committed: offset, ...rejections }),
}

const clientFrame = z.discriminatedUnion('type', [
  clientFrames.open,
  clientFrames.ingest,
  clientFrames.ping,
  clientFrames.close,
])

export type ClientFrame = z.infer<typeof clientFrame>
export type OpenFrame = z.infer<typeof clientFrames.open>
export type IngestFrame = z.infer<typeof clientFrames.ingest>
export type ServerFrame = {
  [K in keyof typeof serverFrames]: z.infer<(typeof serverFrames)[K]>
}[keyof typeof serverFrames]
export type AckFrame = z.infer<typeof serverFrames.ack>
export type RecordRejection = z.infer<typeof rejection>
export type ColumnInfo = z.infer<typeof column>

/** A producer's frame and, for `ingest`, its rows as they came: still compressed, not yet checked. */
export interface ReceivedFrame {
  frame: ClientFrame
  body?: Uint8Array
}

/** Reads a text frame. @throws IngestError `push.frame_invalid` (fix) */
export function decodeText(text: string): ReceivedFrame {
  const frame = parseFrame(text)
  if (frame.type !== 'ingest') return { frame }
  const { rows, ...header } = frame
  if (rows === undefined) throw invalid('rows: an ingest frame in text needs them')
  return { frame: header, body: frame.encoding === 'none' ? Buffer.from(rows, 'utf8') : fromBase64(rows) }
}

/**
 * Reads a binary frame: the header's length in bytes as big-endian u32, the header (a text frame without rows), the rows.
 * The rows are a view of `bytes`, not a copy.
 *
 * @throws IngestError `push.frame_invalid` (fix)
 */
export function decodeBinary(bytes: Uint8Array): ReceivedFrame {
  if (bytes.length < 4) throw invalid(`a binary frame of ${bytes.length} bytes has no header`)
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const headerBytes = buffer.readUInt32BE(0)
  if (headerBytes > MAX_HEADER_BYTES || headerBytes > bytes.length - 4)
    throw invalid(`a header of ${headerBytes} bytes does not fit its frame; at most ${MAX_HEADER_BYTES} are allowed`)
  const frame = parseFrame(buffer.toString('utf8', 4, 4 + headerBytes))
  if (frame.type !== 'ingest') {
    if (bytes.length > 4 + headerBytes) throw invalid(`a ${frame.type} frame has bytes after its header`)
    return { frame }
  }
  if (frame.rows !== undefined) throw invalid('rows: in a binary frame they follow the header')
  return { frame, body: bytes.subarray(4 + headerBytes) }
}

/** A binary ingest frame, ready to send. */
export function encodeBinary(header: Omit<IngestFrame, 'rows'>, rows: Uint8Array): Uint8Array {
  const text = Buffer.from(JSON.stringify(header))
  const frame = Buffer.allocUnsafe(4 + text.length + rows.length)
  frame.writeUInt32BE(text.length, 0)
  text.copy(frame, 4)
  frame.set(rows, 4 + text.length)
  return frame
}

/** The error frame of an error: message and code as they are, which hold neither secrets nor row content. */
export function errorFrame(error: IngestError, expected?: number): Extract<ServerFrame, { type: 'error' }> {
  return {
    type: 'error',
    code: error.code,
    message: error.message,
    remedy: error.remedy,
    retryable: error.remedy === 'retry',
    ...(error.retryAfterMs === undefined ? {} : { retryAfterMs: Math.ceil(error.retryAfterMs) }),
    ...(expected === undefined ? {} : { expected }),
  }
}

function parseFrame(text: string): ClientFrame {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    throw invalid('the frame is not JSON')
  }
  const parsed = clientFrame.safeParse(json)
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!
    throw invalid(`${issue.path.join('.') || 'frame'}: ${issue.message.slice(0, MAX_DETAIL)}`)
  }
  const frame = parsed.data
  // Beyond it two offsets are one number, and no frame and no entry of the state store could say how far the session is.
  if (frame.type === 'ingest' && frame.offset + frame.count > Number.MAX_SAFE_INTEGER)
    throw invalid(`offset: a session ends at record ${Number.MAX_SAFE_INTEGER}; begin another one`)
  return frame
}

function fromBase64(text: string): Uint8Array {
  // Buffer.from skips what is not base64; a length that differs tells.
  const bytes = Buffer.from(text, 'base64')
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0
  if (text.length % 4 !== 0 || bytes.length !== (text.length / 4) * 3 - padding) throw invalid('rows: not base64')
  return bytes
}

const invalid = (detail: string) =>
  new IngestError('push.frame_invalid', `the frame was not understood: ${detail}; see docs/protocol.md`)
