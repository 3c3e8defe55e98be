/** Time as an argument: nothing below `functions/` and `local/` reads the machine's clock by itself. */
export interface Clock {
  /** Milliseconds since the epoch, UTC. */
  now(): number
  /** Resolves after `ms` milliseconds; rejects with the signal's reason when it aborts first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

/**
 * Whether `ms` have passed since a time that a clock gave. Clocks are set back now and then: since a time that is yet to come,
 * they have, or what waits would wait for hours.
 */
export const hasPassed = (sinceMs: number, ms: number, nowMs: number): boolean =>
  nowMs < sinceMs || nowMs - sinceMs >= ms

/** The machine's own clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  sleep: (ms, signal) =>
    new Promise((resolve, reject) => {
      signal?.throwIfAborted()
      const timer = setTimeout(done, ms)
      signal?.addEventListener('abort', abort, { once: true })
      function done() {
        signal?.removeEventListener('abort', abort)
        resolve()
      }
      function abort() {
        clearTimeout(timer)
        reject(signal?.reason)
      }
    }),
}
