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
    const options = { maxOutputLength: maxBytes, chunkSize: Math.min(1 << 20, Math.max(1 << 16, body.length * 8)) }
    return encoding === 'gzip' ? gunzipSync(body, options) : zstdDecompressSync(body, options)
  } catch (error) {
    throw translate(error, encoding, maxBytes)
  }
}

function checkSize(body: Uint8Array, maxBytes: number): Uint8Array {
  if (body.length > maxBytes) throw tooLarge(maxBytes)
  return body
}

function translate(error: unknown, encoding: Encoding, maxBytes: number): IngestError {
  if ((error as { code?: string }).code === 'ERR_BUFFER_TOO_LARGE') return tooLarge(maxBytes)
  return new IngestError('push.frame_invalid', `rows: damaged or cut ${encoding} data`, { cause: error })
}

const tooLarge = (maxBytes: number) =>
  new IngestError('push.too_large', `the rows of one batch are over ${maxBytes} bytes; send smaller batches`)
