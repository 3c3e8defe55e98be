import { closeSync, fsyncSync, ftruncateSync, openSync, readFileSync, readSync, statSync, truncateSync } from 'node:fs'
import { type FileHandle, open, writeFile } from 'node:fs/promises'
import { IngestError } from '../core/errors.ts'
import { errnoOf } from '../storage/files.ts'
import type { Delivery } from './deliveries.ts'
import { decodeHead, type FrameSize, frameSize, frameStartBytes, isFrame } from './frame.ts'

/** Every segment starts with this; another layout gets another name. */
export const magic = Buffer.from('lakeflq1')

/** One file of the log. Records are numbered from 0 in the order they were written. */
export interface Segment {
  readonly file: string
  readonly number: number
  records: number
  /** Records not yet deleted. */
  live: number
  /** No more records will come: the file goes when none is live. */
  isClosed: boolean
}

/** Where a record is. */
export interface Place extends Delivery, FrameSize {
  segment: Segment
  /** Of the record in its segment. */
  index: number
  /** Of the frame in its file. */
  at: number
}

export const segmentName = (number: number): string => `${String(number).padStart(12, '0')}.log`

/**
 * What an earlier process left in a segment: places of the records not deleted. In the last segment everything from the
 * first broken frame on was never acknowledged (a crash tore it), and is cut off. Reads synchronously: it is done once, at
 * the start, and most frames are far apart.
 *
 * @throws IngestError `queue.corrupt` when another segment has a broken frame
 */
export function readSegment(file: string, number: number, isLast: boolean): { segment: Segment; places: Place[] } {
  const descriptor = openSync(file, isLast ? 'r+' : 'r')
  try {
    const sizeBytes = statSync(file).size
    const segment: Segment = { file, number, records: 0, live: 0, isClosed: true }
    const deleted = readDeleted(file)
    const places: Place[] = []
    const found = read(descriptor, 0, magic.length)
    const begun = found.equals(magic)
    if (!begun && !(isLast && (found.length < magic.length || found.every((byte) => byte === 0))))
      throw corrupt(file, 0)
    let at = begun ? magic.length : 0
    while (begun && at < sizeBytes) {
      const size = frameAt(descriptor, at, sizeBytes)
      if (!size || (isLast && !isFrame(read(descriptor, at, size.totalBytes)))) {
        if (!isLast) throw corrupt(file, at)
        break
      }
      const index = segment.records++
      if (!deleted.has(index)) {
        const [group] = decodeHead(read(descriptor, at + frameStartBytes, size.headBytes))
        places.push(placeOf(segment, index, at, group, size))
      }
      at += size.totalBytes
    }
    if (at < sizeBytes) {
      ftruncateSync(descriptor, at)
      fsyncSync(descriptor)
    }
    segment.live = places.length
    return { segment, places }
  } finally {
    closeSync(descriptor)
  }
}

export const placeOf = (segment: Segment, index: number, at: number, group: string, size: FrameSize): Place => ({
  receipt: `${segment.number}-${index}`,
  group,
  segment,
  index,
  at,
  ...size,
})

/** Remembers that records were deleted. Not fsync'd: what a power cut forgets is delivered again. */
export async function writeDeleted(segment: Segment, indexes: readonly number[]): Promise<void> {
  const entries = Buffer.allocUnsafe(indexes.length * 8)
  indexes.forEach((index, i) => {
    entries.writeUInt32LE(index, i * 8)
    entries.writeUInt32LE(~index >>> 0, i * 8 + 4)
  })
  await writeFile(deletedFile(segment.file), entries, { flag: 'a' })
}

export const deletedFile = (file: string): string => file.replace(/\.log$/, '.done')

/**
 * Reads the places, which are of one segment and in ascending order; frames that lie side by side come in one read. Each
 * result is the whole frame, unchecked.
 */
export async function readPlaces(places: readonly Place[]): Promise<Buffer[]> {
  const first = places[0]
  if (!first) return []
  await using handle = await open(first.segment.file, 'r')
  const frames: Buffer[] = []
  for (let from = 0; from < places.length; ) {
    let to = from + 1
    let bytes = places[from]!.totalBytes
    while (to < places.length && places[to]!.at === places[from]!.at + bytes && bytes < maxReadBytes) {
      bytes += places[to++]!.totalBytes
    }
    const run = await readRun(handle, places[from]!.at, bytes)
    for (let at = 0; from < to; from++) {
      frames.push(run.subarray(at, at + places[from]!.totalBytes))
      at += places[from]!.totalBytes
    }
  }
  return frames
}

const maxReadBytes = 8 * 1024 * 1024

async function readRun(handle: FileHandle, at: number, bytes: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafeSlow(bytes)
  for (let done = 0; done < bytes; ) {
    const { bytesRead } = await handle.read(buffer, done, bytes - done, at + done)
    if (bytesRead === 0) return buffer.subarray(0, done)
    done += bytesRead
  }
  return buffer
}

/** The entries of the file beside the segment: an index and its complement, so that zeros and halves are none. */
function readDeleted(file: string): Set<number> {
  const indexes = new Set<number>()
  let entries: Buffer
  try {
    entries = readFileSync(deletedFile(file))
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return indexes
    throw error
  }
  let at = 0
  for (; at + 8 <= entries.length; at += 8) {
    const index = entries.readUInt32LE(at)
    if (entries.readUInt32LE(at + 4) !== ~index >>> 0) break
    indexes.add(index)
  }
  if (at < entries.length) truncateSync(deletedFile(file), at)
  return indexes
}

function frameAt(descriptor: number, at: number, sizeBytes: number): FrameSize | undefined {
  if (at + frameStartBytes > sizeBytes) return undefined
  const size = frameSize(read(descriptor, at, frameStartBytes))
  return at + size.totalBytes <= sizeBytes ? size : undefined
}

function read(descriptor: number, at: number, bytes: number): Buffer {
  const buffer = Buffer.allocUnsafe(bytes)
  return buffer.subarray(0, readSync(descriptor, buffer, 0, bytes, at))
}

const corrupt = (file: string, at: number) =>
  new IngestError('queue.corrupt', `${file} is damaged at byte ${at}, before the end of the log`)
