import type { IngestError } from '../core/errors.ts'
import type { Queue, ReceivedRecord } from '../queue/queue.ts'
import type { Storage } from '../storage/storage.ts'
import { announce } from './announcement.ts'
import { createFlusher, type FlushLimits, type FlushPorts } from './flush.ts'

export interface FlushOncePorts extends Omit<FlushPorts, 'queue'> {
  storage: Storage
  /** Flushed files on their way to a committer. */
  flushed: Queue
}

export interface FlushOnce {
  /** Receipts of the records that are safe without their queue: announced in a file, or committed before. The rest comes again. */
  handled: ReadonlySet<string>
  errors: readonly IngestError[]
}

/**
 * Records handed over by an event source -> one announced file a table. When it resolves, the handled records may be
 * deleted; a crash before that brings all of them again, and the commit leaves out what was announced twice.
 */
export async function flushOnce(
  records: readonly ReceivedRecord[],
  ports: FlushOncePorts,
  limits: FlushLimits,
): Promise<FlushOnce> {
  const handled = new Set<string>()
  const queue = {
    async delete(receipts: readonly string[]) {
      for (const receipt of receipts) handled.add(receipt)
    },
  }
  const flusher = createFlusher({ ...ports, queue }, limits)
  const errors = await flusher.take(records)
  const files = await flusher.finish('all')
  await Promise.all(
    files.map(async (file) => {
      await announce(file, records, ports)
      for (const receipt of file.receipts) handled.add(receipt)
    }),
  )
  return { handled, errors }
}
