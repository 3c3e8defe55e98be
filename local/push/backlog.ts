import type { Queue } from '../../shared/queue/queue.ts'

export interface BacklogLimits {
  /** In memory: batches being checked and stored, of all sessions, and bytes of files that the storage has yet to take. */
  memoryBytes: number
  /** Stored and not yet committed: they are on disk, which is not a place to fall behind in. */
  backlogBytes: number
}

/** Bytes that were taken from producers and are not in a table yet, and what they leave of every producer's window. */
export interface Backlog {
  /** Counts a batch until it is stored or refused. */
  during<T>(bytes: number, work: () => Promise<T>): Promise<T>
  /** The queue has changed. */
  recount(): Promise<void>
  /**
   * The part of its window that a session may use now, in eighths from 1 to 0: all of it up to half of a limit, nothing at
   * the limit. So producers slow down together before memory or disk is used up, and none is refused.
   */
  share(): number
}

/** `bufferedBytes`: of files, in memory now. */
export function createBacklog(
  queue: Pick<Queue, 'depth'>,
  limits: BacklogLimits,
  bufferedBytes: () => number,
): Backlog {
  let inFlightBytes = 0
  let storedBytes = 0

  async function recount() {
    storedBytes = (await queue.depth()).bytes
  }

  return {
    async during(bytes, work) {
      inFlightBytes += bytes
      try {
        return await work()
      } finally {
        inFlightBytes -= bytes
        await recount()
      }
    },
    recount,
    share: () =>
      Math.min(
        shareOf(inFlightBytes + bufferedBytes(), limits.memoryBytes),
        shareOf(inFlightBytes + storedBytes, limits.backlogBytes),
      ),
  }
}

const shareOf = (used: number, limit: number) => Math.min(1, Math.max(0, Math.ceil((2 - (2 * used) / limit) * 8) / 8))
