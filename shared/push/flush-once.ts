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
  const errors: IngestError[] = []
  let left = records
  // What overlaps a file of the first round gets a file of its own; the commit sorts the two out.
  for (let round = 1; round <= 2 && left.length > 0 && errors.length === 0; round++) {
    errors.push(...(await flusher.take(left)))
    for (const file of await flusher.finish('all')) {
      await announce(file, left, ports)
      flusher.settle(file)
      for (const receipt of file.receipts) handled.add(receipt)
    }
    left = left.filter(({ receipt }) => !handled.has(receipt))
  }
  return { handled, errors }
}
