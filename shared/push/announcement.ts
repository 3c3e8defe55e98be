import { IngestError } from '../core/errors.ts'
import type { Random } from '../core/random.ts'
import { decodeFrames, encodeFrame } from '../queue/frame.ts'
import type { Queue, QueueRecord, ReceivedRecord } from '../queue/queue.ts'
import type { Storage } from '../storage/storage.ts'
import type { FlushedFile } from './open-files.ts'

/**
 * A flushed file on its way to a committer in another process. Its events have left the queue by then, so the announcement
 * also names a copy of them: a file that turns out to hold a record already in the table cannot be committed, and its events
 * go back to the queue (decision 0016).
 */
export interface Announcement {
  file: FlushedFile
  /** In storage: the file's queue records as frames, one after the other. */
  records: string
}

/** Where copies of flushed events wait for their commit, in storage. */
const RECORDS_PREFIX = '_push/records'

/** Stores the copy of a file's events, then announces the file. Its events may be deleted from their queue after that. */
export async function announce(
  file: FlushedFile,
  received: readonly ReceivedRecord[],
  ports: { storage: Storage; flushed: Queue; random: Random },
): Promise<void> {
  const records = `${RECORDS_PREFIX}/${ports.random.uuid()}`
  const held = new Map(received.map((record) => [record.receipt, record]))
  const frames = file.receipts.flatMap((receipt) => {
    const record = held.get(receipt)
    held.delete(receipt)
    return record ? encodeFrame(record) : []
  })
  await ports.storage.put(records, Buffer.concat(frames))
  // Receipts are worthless to another process.
  const announcement: Announcement = { file: { ...file, receipts: [] }, records }
  await ports.flushed.send([{ group: file.table, header: {}, body: Buffer.from(JSON.stringify(announcement)) }])
}

/** @throws IngestError `queue.corrupt` (fix) */
export function readAnnouncement(record: QueueRecord): Announcement {
  try {
    return JSON.parse(Buffer.from(record.body).toString('utf8')) as Announcement
  } catch (cause) {
    throw new IngestError('queue.corrupt', 'a message on the queue of flushed files is not one of ours', { cause })
  }
}

/** The events of an announced file; undefined when the copy is gone, because someone has dealt with them. */
export async function recordsOf({ records }: Announcement, storage: Storage): Promise<QueueRecord[] | undefined> {
  const bytes = await storage.get(records)
  return bytes && decodeFrames(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), records)
}
