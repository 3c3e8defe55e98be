import { type Clock, systemClock } from '../core/clock.ts'
import { IngestError } from '../core/errors.ts'
import { type Delivery, deliveries } from './deliveries.ts'
import type { Queue, QueueRecord } from './queue.ts'

/** Records in memory, gone with the process. Keeps the whole contract but durability. */
export function memoryQueue({
  clock = systemClock,
  maxBytes = Infinity,
}: {
  clock?: Clock
  maxBytes?: number
} = {}): Queue {
  const records = deliveries<Delivery & { record: QueueRecord }>(clock)
  let sent = 0

  function accept(sending: readonly QueueRecord[]) {
    const bytes = sending.reduce((sum, { body }) => sum + body.length, 0)
    if (records.depth().bytes + bytes > maxBytes) {
      throw new IngestError('queue.full', `the queue holds ${records.depth().bytes} of ${maxBytes} bytes`)
    }
    return sending.map((record) => {
      return { receipt: String(++sent), group: record.group, bodyBytes: record.body.length, record }
    })
  }

  return {
    async send(sending) {
      for (const item of accept(sending)) records.add(item)
    },

    async sendTaken(sending, visibilityMs) {
      const items = accept(sending)
      for (const item of items) records.addTaken(item, visibilityMs)
      return items.map(({ receipt }) => receipt)
    },

    async receive(options) {
      return records.take(options).map(({ receipt, record }) => ({ ...record, receipt }))
    },

    async delete(receipts) {
      for (const receipt of receipts) records.remove(receipt)
    },

    depth: async () => records.depth(),

    async close() {},
  }
}
