import type { Window } from '../../shared/push/pressure.ts'
import type { Queue } from '../../shared/queue/queue.ts'

export interface BacklogLimits {
  /** What one session may have in flight while it is alone and the server keeps up. */
  window: Window
  /** Batches being checked and stored that sessions share: a batch behind so many is acknowledged late, for no more throughput. */
  inFlightBytes: number
  /** In memory: those batches, and bytes of files that the storage has yet to take. */
  memoryBytes: number
  /** Stored and not yet committed: they are on disk, which is not a place to fall behind in. */
  backlogBytes: number
}

/** Bytes that were taken from producers and are not in a table yet, and what they leave of every producer's window. */
export interface Backlog {
  /** Counts a batch until it is stored or refused. */
  during<T>(batch: { session: string; bytes: number }, work: () => Promise<T>): Promise<T>
  /** The queue has changed. */
  recount(): Promise<void>
  /**
   * What a session may have in flight now. Sessions that have something in flight divide it among them, and each may use a part
   * of that, in eighths: all of it up to half of a limit, nothing at the limit. So producers slow down together before memory
   * or disk is used up, and none is refused.
   */
  window(): Window
}

/** `bufferedBytes`: of files, in memory now. */
export function createBacklog(
  queue: Pick<Queue, 'depth'>,
  limits: BacklogLimits,
  bufferedBytes: () => number,
): Backlog {
  const inFlight = new Map<string, number>()
  let inFlightBytes = 0
  let storedBytes = 0

  function count(session: string, bytes: number) {
    inFlightBytes += bytes
    const left = (inFlight.get(session) ?? 0) + bytes
    if (left > 0) inFlight.set(session, left)
    else inFlight.delete(session)
  }

  async function recount() {
    storedBytes = (await queue.depth()).bytes
  }

  return {
    async during({ session, bytes }, work) {
      count(session, bytes)
      try {
        return await work()
      } finally {
        count(session, -bytes)
        await recount()
      }
    },
    recount,
    window() {
      // To the next power of two: a session that pauses for a moment does not have every other one told anew.
      const sessions = 2 ** Math.ceil(Math.log2(Math.max(1, inFlight.size)))
      const share =
        Math.min(1, limits.inFlightBytes / sessions / limits.window.bytes) *
        Math.min(
          shareOf(inFlightBytes + bufferedBytes(), limits.memoryBytes),
          shareOf(inFlightBytes + storedBytes, limits.backlogBytes),
        )
      return { bytes: Math.floor(limits.window.bytes * share), records: Math.floor(limits.window.records * share) }
    },
  }
}

const shareOf = (used: number, limit: number) => Math.min(1, Math.max(0, Math.ceil((2 - (2 * used) / limit) * 8) / 8))
