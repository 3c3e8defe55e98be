import { type Clock, hasPassed } from '../core/clock.ts'
import type { Queue } from '../queue/queue.ts'

export interface Window {
  bytes: number
  records: number
}

/** How long a measured depth is taken for true. */
const MAX_AGE_MS = 5000

/**
 * How much of its window a session may use by how much waits in the queue: all while it is empty, nothing from `fullBytes`
 * of bodies on. A queue that cannot be measured changes nothing.
 */
export function pressureOf(
  ports: { queue: Pick<Queue, 'depth'>; clock: Clock },
  fullBytes: number,
): () => Promise<number> {
  let bytes = 0
  let measuredMs = Number.NEGATIVE_INFINITY
  return async () => {
    if (hasPassed(measuredMs, MAX_AGE_MS, ports.clock.now())) {
      measuredMs = ports.clock.now()
      bytes = await ports.queue.depth().then(
        (depth) => depth.bytes,
        () => bytes,
      )
    }
    return Math.max(0, 1 - bytes / fullBytes)
  }
}
