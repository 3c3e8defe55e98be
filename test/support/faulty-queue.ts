import type { Queue } from '../../shared/queue/queue.ts'
import { type Faults, faultyCalls } from './faults.ts'

export interface QueueFaults extends Faults {
  /** Every received record comes twice in one batch, the second time with the same receipt. */
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
