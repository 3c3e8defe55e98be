import type { Clock } from '../core/clock.ts'
import { IngestError } from '../core/errors.ts'
import type { Principal } from './auth.ts'

/** What one server's connections of each subject use. */
export interface Quotas {
  /** @throws IngestError `push.quota_exceeded` (retry) */
  enter(principal: Principal): void
  leave(principal: Principal): void
  /** Counts bytes and returns how long to hold the producer back, in milliseconds. */
  charge(principal: Principal, bytes: number): number
}

/** A token bucket of one second for each subject: bursts of a second pass, the average never exceeds the quota. */
export function createQuotas(clock: Clock): Quotas {
  const uses = new Map<string, { sessions: number; debtBytes: number; atMs: number }>()

  return {
    enter(principal) {
      const use = uses.get(principal.subject) ?? { sessions: 0, debtBytes: 0, atMs: clock.now() }
      const limit = principal.quota.sessions
      if (limit !== undefined && use.sessions >= limit)
        throw new IngestError(
          'push.quota_exceeded',
          `this token has ${use.sessions} sessions open and may have ${limit}; close one first`,
          { retryAfterMs: 5000 },
        )
      use.sessions++
      uses.set(principal.subject, use)
    },

    leave(principal) {
      const use = uses.get(principal.subject)
      if (!use) return
      use.sessions--
      if (use.sessions <= 0 && debtAt(use, principal, clock.now()) <= 0) uses.delete(principal.subject)
    },

    charge(principal, bytes) {
      const limit = principal.quota.bytesPerSecond
      if (limit === undefined) return 0
      const now = clock.now()
      // A request over HTTP has no session to have entered with.
      const use = uses.get(principal.subject) ?? { sessions: 0, debtBytes: 0, atMs: now }
      uses.set(principal.subject, use)
      use.debtBytes = debtAt(use, principal, now) + bytes
      use.atMs = now
      return Math.max(0, Math.ceil(((use.debtBytes - limit) / limit) * 1000))
    },
  }
}

/** What is left of a debt after it was paid off at the rate of the quota. */
export function debtAt(use: { debtBytes: number; atMs: number }, principal: Principal, nowMs: number): number {
  const paid = (Math.max(0, nowMs - use.atMs) / 1000) * (principal.quota.bytesPerSecond ?? Number.POSITIVE_INFINITY)
  return Math.max(0, use.debtBytes - (Number.isNaN(paid) ? 0 : paid))
}
