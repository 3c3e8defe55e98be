import { gunzipSync, zstdDecompressSync } from 'node:zlib'
import { IngestError } from '../core/errors.ts'
import type { Encoding } from './frames.ts'

/** Sizes a server accepts. All in bytes. */
export interface PushLimits {
  /** One WebSocket message or HTTP body as it came. */
  messageBytes: number
  /** One record. */
  recordBytes: number
  /** The rows of one message after decompression: what makes a zip bomb harmless. */
  batchBytes: number
}

export const defaultLimits: PushLimits = {
  messageBytes: 4 << 20,
  recordBytes: 1 << 20,
  batchBytes: 16 << 20,
}

/**
 * The rows of a message, decompressed. Output stops at the limit, so memory stays bounded whatever the input claims.
 *
 * @throws IngestError `push.too_large` (fix), `push.frame_invalid` (fix)
 */
export function decompress(body: Uint8Array, encoding: Encoding, maxBytes: number): Uint8Array {
  if (encoding === 'none') return checkSize(body, maxBytes)
  try {
    // One chunk for most bodies: the default of 16 KiB costs more in copies than in decompression.
    const guess = (encoding === 'zstd' ? contentSize(body) : undefined) ?? Math.max(1 << 16, body.length * 8)
    // A full chunk is followed by another one, even by an empty one.
    const options = { maxOutputLength: maxBytes, chunkSize: Math.min(1 << 20, Math.max(1 << 10, guess + 1)) }
    return encoding === 'gzip' ? gunzipSync(body, options) : zstdDecompressSync(body, options)
  } catch (error) {
    throw translate(error, encoding, maxBytes)
  }
}

/**
 * The size that the frame of a body says it decompresses to, where it does (RFC 8878, "Frame Header"); not checked. A chunk of
 * just that size saves a tenth of the time of decompression, and half of the memory.
 */
function contentSize(zstd: Uint8Array): number | undefined {
  if (zstd.length < 18) return undefined
  const view = new DataView(zstd.buffer, zstd.byteOffset, 18)
  const descriptor = view.getUint8(4)
  const isSingleSegment = (descriptor & 0x20) !== 0
  const at = 5 + (isSingleSegment ? 0 : 1) + [0, 1, 2, 4][descriptor & 3]!
  switch (descriptor >> 6) {
    case 0:
      return isSingleSegment ? view.getUint8(at) : undefined
    case 1:
      return view.getUint16(at, true) + 256
    case 2:
      return view.getUint32(at, true)
    default:
      return Number(view.getBigUint64(at, true))
  }
}

function checkSize(body: Uint8Array, maxBytes: number): Uint8Array {
  if (body.length > maxBytes) throw tooLarge(maxBytes)
  return body
}

/**
 * Does something with the decompressed rows of a message, whose memory is given back at the end.
 *
 * @throws IngestError as `decompress`
 */
export async function withRows<T>(
  body: Uint8Array,
  encoding: Encoding,
  maxBytes: number,
  work: (rows: Uint8Array) => Promise<T>,
): Promise<T> {
  const rows = decompress(body, encoding, maxBytes)
  try {
    return await work(rows)
  } finally {
    if (encoding !== 'none') giveBack(rows.buffer)
  }
}

/**
 * Frees memory that nobody looks into any more. V8 alone lets 64 MiB of such buffers pile up on each thread before it collects
 * them. The pool that Node has for small buffers is left alone.
 */
export function giveBack(buffer: ArrayBufferLike) {
  if (buffer instanceof ArrayBuffer && buffer.byteLength > Buffer.poolSize) buffer.transfer(0)
}

function translate(error: unknown, encoding: Encoding, maxBytes: number): IngestError {
  if ((error as { code?: string }).code === 'ERR_BUFFER_TOO_LARGE') return tooLarge(maxBytes)
  return new IngestError('push.frame_invalid', `rows: damaged or cut ${encoding} data`, { cause: error })
}

const tooLarge = (maxBytes: number) =>
  new IngestError('push.too_large', `the rows of one batch are over ${maxBytes} bytes; send smaller batches`)
