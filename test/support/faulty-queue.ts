import type { Queue, QueueRecord } from '../../shared/queue/queue.ts'
import { type Faults, faultyCalls } from './faults.ts'

export interface QueueFaults extends Faults {
  /** Every received record comes twice in one batch with the same receipt, and what was sent as taken once more by itself. */
  duplicate?: boolean
}

/** A queue with planned faults. A write is one call of `send` or `delete`. */
export function faultyQueue(queue: Queue, faults: QueueFaults): Queue & { readonly writes: number } {
  const calls = faultyCalls(faults, 'queue.unavailable')
  return {
    get writes() {
      return calls.writes
    },
    send: (records) => calls.write(() => queue.send(records)),
    ...(queue.sendTaken && {
      sendTaken: (records: readonly QueueRecord[], visibilityMs: number) =>
        calls.write(async () => {
          if (faults.duplicate) await queue.send(records)
          return await queue.sendTaken!(records, visibilityMs)
        }),
    }),
    receive: (options) =>
      calls.read(async () => {
        const records = await queue.receive(options)
        return faults.duplicate ? records.flatMap((record) => [record, record]) : records
      }),
    delete: (receipts) => calls.write(() => queue.delete(receipts)),
    depth: () => calls.read(() => queue.depth()),
    close: () => queue.close(),
  }
}
