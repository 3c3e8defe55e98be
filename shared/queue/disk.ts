import { type FileHandle, open, readdir, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { type Clock, systemClock } from '../core/clock.ts'
import { IngestError } from '../core/errors.ts'
import { fileError, makeFolder, syncFolder } from '../storage/files.ts'
import { holdFile } from '../storage/lock.ts'
import { deliveries } from './deliveries.ts'
import { decodeFrame, encodeFrame, frameSize } from './frame.ts'
import type { Queue, QueueRecord } from './queue.ts'
import {
  deletedFile,
  magic,
  type Place,
  placeOf,
  readPlaces,
  readSegment,
  type Segment,
  segmentName,
  writeDeleted,
} from './segment.ts'

export interface DiskQueueOptions {
  /** A segment that has reached this is closed and the next begun. Disk space comes back by whole segments. */
  segmentBytes?: number
  /** Of records not yet deleted; a send beyond it is refused with `queue.full`. */
  maxBytes?: number
  clock?: Clock
}

/**
 * The durable buffer as a write-ahead log in a folder, which one process has for itself.
 *
 * Sends that arrive while the disk is busy are written and fsync'd together. Records are kept in numbered segments
 * (`frame.ts`), deletes in a small file beside each; a segment whose records are all deleted is removed. What a crash tore
 * at the end is cut off at the next start, and was acknowledged to nobody. When the disk is full a send fails with
 * `queue.full` and leaves nothing behind; after a failed write nothing is ever added to that file.
 *
 * @throws IngestError `queue.unavailable` when another process has the folder, `queue.corrupt`, `storage.permission_denied`
 */
export async function diskQueue(
  folder: string,
  { segmentBytes = 64 * 1024 * 1024, maxBytes = Infinity, clock = systemClock }: DiskQueueOptions = {},
): Promise<Queue> {
  const root = resolve(folder)
  const { release, segments, places } = await openFolder(root)
  const records = deliveries<Place>(clock)
  for (const place of places) records.add(place)

  let nextNumber = (segments.at(-1)?.number ?? 0) + 1
  let active: ActiveSegment | undefined
  const waiting: Sending[] = []
  let waitingBytes = 0
  let writing: Promise<void> | undefined
  let broken: IngestError | undefined
  let closed = false

  /** Writes whatever waits, batch after batch, until nothing does. */
  async function drain(): Promise<void> {
    while (waiting.length > 0) {
      const batch = takeBatch()
      try {
        if (broken) throw broken
        active ??= await createSegment(root, nextNumber++)
        await append(active, batch)
        for (const { bytes } of batch) waitingBytes -= bytes
        if (active.sizeBytes >= segmentBytes) await retire()
      } catch (error) {
        const failure = queueError(error, 'write to the queue')
        for (const { bytes } of batch) waitingBytes -= bytes
        await retire()
        for (const { reject } of batch) reject(failure)
      }
    }
    // In the same turn as the last look at `waiting`, so that no send is left to a loop that has ended.
    writing = undefined
  }

  function takeBatch(): Sending[] {
    let bytes = 0
    let count = 0
    while (count < waiting.length && (count === 0 || bytes < maxBatchBytes)) bytes += waiting[count++]!.bytes
    return waiting.splice(0, count)
  }

  async function append(segment: ActiveSegment, batch: readonly Sending[]): Promise<void> {
    const pieces: Uint8Array[] = segment.sizeBytes === 0 ? [magic] : []
    let at = segment.sizeBytes + (pieces[0]?.length ?? 0)
    const written: Place[] = []
    const firsts: number[] = []
    for (const { frames, groups } of batch) {
      firsts.push(written.length)
      frames.forEach(([start, body], i) => {
        const size = frameSize(start)
        written.push(placeOf(segment, segment.records + written.length, at, groups[i]!, size))
        at += size.totalBytes
        pieces.push(start, body)
      })
    }
    await writePieces(segment.handle, pieces, segment.sizeBytes)
    await segment.handle.datasync()
    // The name of a new file must survive too.
    if (segment.sizeBytes === 0) await syncFolder(root)
    segment.sizeBytes = at
    segment.records += written.length
    segment.live += written.length
    batch.forEach(({ takenForMs, resolve }, i) => {
      const places = written.slice(firsts[i], firsts[i + 1])
      for (const place of places) {
        if (takenForMs === undefined) records.add(place)
        else records.addTaken(place, takenForMs)
      }
      resolve(places.map(({ receipt }) => receipt))
    })
  }

  /** Nothing more goes into the active segment. What a failed write left at its end is cut off. */
  async function retire(): Promise<void> {
    const segment = active
    if (!segment) return
    active = undefined
    segment.isClosed = true
    try {
      await using handle = segment.handle
      await handle.truncate(segment.sizeBytes)
      await handle.datasync()
    } catch (error) {
      // The next start would find a broken frame inside the log, so there must be no segment after this one.
      broken = queueError(error, `close ${segment.file}`)
    }
    // A file that stays is removed at the next start.
    if (segment.live === 0) await removeSegment(segment).catch(() => {})
  }

  const refuse = (error: unknown) => Promise.reject(queueError(error, 'use the queue'))

  function enqueue(sending: readonly QueueRecord[], takenForMs?: number): Promise<string[]> {
    if (closed) return refuse(new Error('it is closed'))
    if (broken) return refuse(broken)
    if (sending.length === 0) return Promise.resolve([])
    const bytes = sending.reduce((sum, { body }) => sum + body.length, 0)
    const held = records.depth().bytes + waitingBytes
    if (held + bytes > maxBytes) {
      return refuse(new IngestError('queue.full', `the queue holds ${held} of ${maxBytes} bytes`))
    }
    return new Promise((resolve, reject) => {
      const frames = sending.map(encodeFrame)
      waiting.push({ frames, groups: sending.map(({ group }) => group), bytes, takenForMs, resolve, reject })
      waitingBytes += bytes
      writing ??= Promise.resolve().then(drain)
    })
  }

  return {
    async send(sending) {
      await enqueue(sending)
    },

    sendTaken: (sending, visibilityMs) => enqueue(sending, visibilityMs),

    async receive(options) {
      if (closed) return await refuse(new Error('it is closed'))
      const taken = records.take(options)
      try {
        return await readRecords(taken)
      } catch (error) {
        taken.forEach(records.putBack)
        throw queueError(error, 'read the queue')
      }
    },

    async delete(receipts) {
      if (closed) return await refuse(new Error('it is closed'))
      const places = receipts.flatMap((receipt) => records.remove(receipt) ?? [])
      for (const [segment, deleted] of Map.groupBy(places, ({ segment }) => segment)) {
        segment.live -= deleted.length
        try {
          if (segment.live === 0 && segment.isClosed) await removeSegment(segment)
          else
            await writeDeleted(
              segment,
              deleted.map(({ index }) => index),
            )
        } catch (error) {
          throw queueError(error, 'delete from the queue')
        }
      }
    },

    depth: async () => records.depth(),

    async close() {
      if (closed) return
      closed = true
      await writing
      await retire()
      release()
    },
  }
}

/** Of one write and fsync. */
const maxBatchBytes = 32 * 1024 * 1024

interface ActiveSegment extends Segment {
  handle: FileHandle
  /** Written and durable. */
  sizeBytes: number
}

interface Sending {
  frames: [start: Buffer, body: Uint8Array][]
  groups: string[]
  bytes: number
  /** Handed out at once, for so long. */
  takenForMs: number | undefined
  resolve(receipts: string[]): void
  reject(error: unknown): void
}

async function openFolder(root: string) {
  let release: (() => void) | undefined
  try {
    await makeFolder(root, root)
    release = holdFile(join(root, 'lock'))
    if (!release) throw new IngestError('queue.unavailable', `another process has the queue in ${root}`)
    const names = (await readdir(root)).filter((name) => /^\d{12}\.(log|done)$/.test(name)).sort()
    const logs = names.filter((name) => name.endsWith('.log'))
    for (const name of names) {
      if (name.endsWith('.done') && !logs.includes(name.replace('.done', '.log'))) await rm(join(root, name))
    }
    const read = logs.map((name) => readSegment(join(root, name), Number.parseInt(name, 10), name === logs.at(-1)))
    for (const { segment } of read) if (segment.live === 0) await removeSegment(segment)
    return { release, segments: read.map(({ segment }) => segment), places: read.flatMap(({ places }) => places) }
  } catch (error) {
    release?.()
    throw queueError(error, `open the queue in ${root}`)
  }
}

async function createSegment(root: string, number: number): Promise<ActiveSegment> {
  const file = join(root, segmentName(number))
  const handle = await open(file, 'wx')
  return { file, number, records: 0, live: 0, isClosed: false, handle, sizeBytes: 0 }
}

/** The log first: without it, the file of deletes means nothing, but not the other way round. */
async function removeSegment({ file }: Segment): Promise<void> {
  await rm(file, { force: true })
  await rm(deletedFile(file), { force: true })
}

/** Reads segment by segment, in the order of the log, and returns in the order asked. */
async function readRecords(places: readonly Place[]): Promise<(QueueRecord & { receipt: string })[]> {
  const frames = new Map<Place, Buffer>()
  for (const inOne of Map.groupBy(places, ({ segment }) => segment).values()) {
    const ordered = inOne.sort((a, b) => a.at - b.at)
    const read = await readPlaces(ordered)
    ordered.forEach((place, i) => {
      frames.set(place, read[i]!)
    })
  }
  return places.map((place) => ({
    ...decodeFrame(frames.get(place)!, `${place.segment.file}, byte ${place.at}`),
    receipt: place.receipt,
  }))
}

/** Linux takes at most 1,024 pieces in one call. */
const maxPieces = 1024

/** Writes all pieces from `position` on; one call may take fewer bytes than it is given. */
async function writePieces(handle: FileHandle, pieces: Uint8Array[], position: number): Promise<void> {
  for (let i = 0; i < pieces.length; ) {
    let { bytesWritten } = await handle.writev(pieces.slice(i, i + maxPieces), position)
    position += bytesWritten
    while (i < pieces.length && bytesWritten >= pieces[i]!.length) bytesWritten -= pieces[i++]!.length
    if (bytesWritten > 0) pieces[i] = pieces[i]!.subarray(bytesWritten)
  }
}

/** A file error as one of the queue's. */
function queueError(error: unknown, doing: string): IngestError {
  const ours = fileError(error, doing)
  switch (ours.code) {
    case 'storage.full':
      return new IngestError('queue.full', ours.message, { cause: error })
    case 'storage.unavailable':
    case 'storage.path_invalid':
      return new IngestError('queue.unavailable', ours.message, { cause: error })
    default:
      return ours
  }
}
