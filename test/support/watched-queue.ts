import { IngestError } from '../../shared/core/errors.ts'
import type { BatchHeader } from '../../shared/push/receive.ts'
import type { Queue, QueueRecord } from '../../shared/queue/queue.ts'

export type TakenBatch = { header: BatchHeader; body: Uint8Array }

/** A durable buffer that remembers what it took, by session, and refuses when it is told to. */
export function watchedQueue(inner: Queue) {
  const stored = new Map<string, TakenBatch[]>()
  /** In the order they came; whoever looks empties it. */
  const taken: TakenBatch[] = []
  /** `refused`: records of batches that it did not take. */
  const state = { refuse: undefined as number | undefined, refused: 0 }

  async function take<T>(records: readonly QueueRecord[], send: () => Promise<T>): Promise<T> {
    if (state.refuse !== undefined && state.refuse-- === 0) {
      for (const { header } of records) state.refused += Number(header.to) - Number(header.from)
      throw new IngestError('queue.full', 'the disk is full')
    }
    const sent = await send()
    for (const { header, body } of records) {
      const known = header as unknown as BatchHeader
      taken.push({ header: known, body })
      stored.set(known.session, [...(stored.get(known.session) ?? []), { header: known, body }])
    }
    return sent
  }

  const queue: Queue = {
    receive: (options) => inner.receive(options),
    delete: (receipts) => inner.delete(receipts),
    depth: () => inner.depth(),
    close: () => inner.close(),
    send: (records) => take(records, () => inner.send(records)),
    sendTaken: (records, visibilityMs) => take(records, () => inner.sendTaken!(records, visibilityMs)),
  }
  return { queue, stored, taken, state }
}

export type WatchedQueue = ReturnType<typeof watchedQueue>
