import { crc32 } from 'node:zlib'
import { IngestError } from '../core/errors.ts'
import type { QueueRecord } from './queue.ts'

/**
 * One record in a segment. Numbers are little-endian, 4 bytes each:
 *
 *     crc32 of all that follows | bytes of head | bytes of body | head (JSON: [group, header]) | body
 *
 * A record of group "t", header {"o":1} and body "ab" is 12 + 13 + 2 bytes. Zeros, which a file system may leave where a
 * crash stopped it, are no frame: the CRC of zero lengths is not zero.
 */
export const frameStartBytes = 12

/** The frame as pieces to write one after the other; the body is not copied. */
export function encodeFrame({ group, header, body }: QueueRecord): [start: Buffer, body: Uint8Array] {
  const head = Buffer.from(JSON.stringify([group, header]))
  const start = Buffer.allocUnsafe(frameStartBytes + head.length)
  start.writeUInt32LE(head.length, 4)
  start.writeUInt32LE(body.length, 8)
  head.copy(start, frameStartBytes)
  start.writeUInt32LE(crc32(body, crc32(start.subarray(4))), 0)
  return [start, body]
}

export interface FrameSize {
  headBytes: number
  bodyBytes: number
  /** Of the whole frame. */
  totalBytes: number
}

/** What the first 12 bytes of a frame say; nothing is checked yet. */
export function frameSize(start: Buffer): FrameSize {
  const headBytes = start.readUInt32LE(4)
  const bodyBytes = start.readUInt32LE(8)
  return { headBytes, bodyBytes, totalBytes: frameStartBytes + headBytes + bodyBytes }
}

/** Whether these bytes are one whole frame, unharmed. */
export const isFrame = (bytes: Buffer): boolean =>
  bytes.length >= frameStartBytes &&
  frameSize(bytes).totalBytes === bytes.length &&
  crc32(bytes.subarray(4)) === bytes.readUInt32LE(0)

/** The record of a whole frame; its body is a view of these bytes. @throws IngestError `queue.corrupt` */
export function decodeFrame(bytes: Buffer, place: string): QueueRecord {
  if (!isFrame(bytes)) throw new IngestError('queue.corrupt', `the record at ${place} does not match its checksum`)
  const bodyAt = frameStartBytes + frameSize(bytes).headBytes
  const [group, header] = decodeHead(bytes.subarray(frameStartBytes, bodyAt))
  return { group, header, body: new Uint8Array(bytes.buffer, bytes.byteOffset + bodyAt, bytes.length - bodyAt) }
}

/** The records of frames that stand one after the other. @throws IngestError `queue.corrupt` */
export function decodeFrames(bytes: Buffer, place: string): QueueRecord[] {
  const records: QueueRecord[] = []
  for (let at = 0; at < bytes.length; ) {
    const rest = bytes.subarray(at)
    const size = rest.length < frameStartBytes ? rest.length : frameSize(rest).totalBytes
    records.push(decodeFrame(rest.subarray(0, size), place))
    at += size
  }
  return records
}

export const decodeHead = (head: Buffer): [group: string, header: QueueRecord['header']] => JSON.parse(head.toString())
