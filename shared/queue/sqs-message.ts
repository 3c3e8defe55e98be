import { IngestError } from '../core/errors.ts'
import type { Storage } from '../storage/storage.ts'
import { decodeFrame, frameSize, frameStartBytes } from './frame.ts'
import type { QueueRecord } from './queue.ts'

/**
 * The text of one SQS message, which may hold no bytes. Its first character says what follows:
 *
 *     "f" + a frame (frame.ts) in base64
 *     "o" + bytes of the body + " " + path of an object in storage that holds the frame
 *
 * SQS takes 1 MiB, and bills each started 64 KB three times: sent, received, and again as base64. An object costs as much as
 * seven of those, so larger frames become one; a consumer is handed more of them at a time then, and makes larger files.
 */
const maxTextBytes = 448 * 1024

/** The frame as text; undefined when it had better be an object. */
export function encodeMessage(pieces: readonly Uint8Array[]): string | undefined {
  const bytes = pieces.reduce((sum, piece) => sum + piece.length, 0)
  if (1 + Math.ceil(bytes / 3) * 4 > maxTextBytes) return undefined
  return `f${Buffer.concat(pieces).toString('base64')}`
}

export const objectOf = (path: string, bodyBytes: number): string => `o${bodyBytes} ${path}`

/** Bytes of the body, without decoding all of it; 0 for what is no message of ours. */
export function bodyBytesOf(text: string): number {
  if (text.startsWith('o')) return Number.parseInt(text.slice(1), 10) || 0
  const start = Buffer.from(text.slice(1, 1 + (frameStartBytes / 3) * 4), 'base64')
  return start.length < frameStartBytes ? 0 : frameSize(start).bodyBytes
}

/**
 * The record of a message, and the path of its object if it has one; no record when that object is gone. Also for a
 * function that is handed messages by the event source instead of receiving them.
 *
 * @throws IngestError `queue.corrupt`
 */
export async function recordOf(text: string, storage: Storage): Promise<{ record?: QueueRecord; path?: string }> {
  if (text.startsWith('f')) return { record: decodeFrame(Buffer.from(text.slice(1), 'base64'), 'a message') }
  const path = /^o\d+ (.+)$/s.exec(text)?.[1]
  if (path === undefined) throw new IngestError('queue.corrupt', 'a message on the queue is not one of ours')
  const bytes = await storage.get(path)
  return bytes
    ? { record: decodeFrame(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), path), path }
    : { path }
}
