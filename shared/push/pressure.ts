import type { Clock } from '../core/clock.ts'
import type { Queue } from '../queue/queue.ts'

export interface Window {
  bytes: number
  records: number
}

/** How long a measured depth is taken for true. */
const MAX_AGE_MS = 5000

/**
 * What a session may have in flight by how much waits in the queue: the full window while it is empty, one batch at a time
 * from `fullRecords` on. A queue that cannot be measured changes nothing.
 */
export function pressureOf(
  ports: { queue: Pick<Queue, 'depth'>; clock: Clock },
  window: Window,
  fullRecords: number,
): () => Promise<Window> {
  let records = 0
  let measuredMs = Number.NEGATIVE_INFINITY
  return async () => {
    if (ports.clock.now() - measuredMs >= MAX_AGE_MS) {
      measuredMs = ports.clock.now()
      records = await ports.queue.depth().then(
        (depth) => depth.records,
        () => records,
      )
    }
    const share = Math.max(0, 1 - records / fullRecords)
    return { bytes: Math.floor(window.bytes * share), records: Math.floor(window.records * share) }
  }
}
