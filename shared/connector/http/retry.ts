import type { Clock } from '../../core/clock.ts'
import type { IngestError } from '../../core/errors.ts'
import type { Random } from '../../core/random.ts'

export interface RetrySettings {
  clock: Clock
  random: Random
  signal: AbortSignal
  /** Tries of one request without any progress between them. */
  attempts: number
  /** A longer wait is left to the engine, which gives up the stream's place in the run meanwhile. */
  maxWaitMs: number
}

const FIRST_BACKOFF_MS = 500
const MAX_BACKOFF_MS = 20_000

/** The tries of one request. */
export class Retry {
  readonly #settings: RetrySettings
  #failed = 0

  constructor(settings: RetrySettings) {
    this.#settings = settings
  }

  /** Something came through: what fails after it is a first failure again. */
  progress(): void {
    this.#failed = 0
  }

  /** Waits until the request may be sent again; throws the error when it should not be. */
  async again(error: IngestError): Promise<void> {
    const { clock, random, signal, attempts, maxWaitMs } = this.#settings
    signal.throwIfAborted()
    const backoff = Math.min(MAX_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** this.#failed)
    // Full jitter: what failed together does not come back together.
    const waitMs = error.retryAfterMs ?? Math.round(random.next() * backoff)
    if (error.remedy !== 'retry' || ++this.#failed >= attempts || waitMs > maxWaitMs) throw error
    await clock.sleep(waitMs, signal)
  }
}

/** `Retry-After` in both its forms, seconds and a date (RFC 9110, 10.2.3), in milliseconds from now. */
export function retryAfterMs(headers: Headers, nowMs: number): number | undefined {
  const text = headers.get('retry-after')?.trim()
  if (!text) return undefined
  if (/^\d+(\.\d+)?$/.test(text)) return Math.ceil(Number(text) * 1000)
  const at = Date.parse(text)
  // The wait is measured on the source's own clock where it tells its time.
  const now = Date.parse(headers.get('date') ?? '')
  return Number.isNaN(at) ? undefined : Math.max(0, at - (Number.isNaN(now) ? nowMs : now))
}
