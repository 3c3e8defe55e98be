import { createHash } from 'node:crypto'
import * as z from 'zod'
import { IngestError } from '../core/errors.ts'
import type { StateStore } from '../state/state-store.ts'
import type { Principal } from './auth.ts'
import { debtAt } from './quota.ts'
import type { SessionPorts } from './stored-sessions.ts'

/** A quota is counted by servers that share no memory, so its use is an entry of the state store. */
const useEntry = z.object({ debtBytes: z.number(), atMs: z.number() })

/** A connection lives two hours at most. */
const CONNECTION_TTL_MS = 3 * 3600_000
const MAX_TRIES = 4

const partitionOf = (subject: string) => `push-quota/${createHash('sha256').update(subject).digest('base64url')}`
const connectionKey = (subject: string, connection: string) => ({
  partition: partitionOf(subject),
  sort: `connection/${connection}`,
})

/**
 * Counts bytes against the quota of a token and returns how long to hold the producer back, in milliseconds. Where many
 * servers count at the same moment some bytes may go uncounted.
 */
export async function chargeStored(principal: Principal, bytes: number, ports: SessionPorts): Promise<number> {
  const limit = principal.quota.bytesPerSecond
  if (limit === undefined) return 0
  const key = { partition: partitionOf(principal.subject), sort: 'use' }
  for (let tries = 1; ; tries++) {
    const entry = await ports.state.read(key)
    const now = ports.clock.now()
    const use = entry ? useEntry.parse(entry.value) : { debtBytes: 0, atMs: now }
    const debtBytes = debtAt(use, principal, now) + bytes
    const written = await ports.state.write([
      { ...key, value: { debtBytes, atMs: now }, expect: entry?.version ?? 'absent', expiresAtMs: now + 3600_000 },
    ])
    if (written || tries === MAX_TRIES) return Math.max(0, Math.ceil(((debtBytes - limit) / limit) * 1000))
  }
}

/** Counts a connection of a token. @throws IngestError `push.quota_exceeded` (retry), and it is not counted */
export async function enterStored(principal: Principal, connection: string, ports: SessionPorts): Promise<void> {
  const limit = principal.quota.sessions
  if (limit === undefined) return
  const key = connectionKey(principal.subject, connection)
  const expiresAtMs = ports.clock.now() + CONNECTION_TTL_MS
  await ports.state.write([{ ...key, value: null, expect: 'any', expiresAtMs }])
  // Counted before looking: of two that come at once neither is let in too many.
  const open = await ports.state.list(key.partition, { prefix: 'connection/' })
  if (open.length <= limit) return
  await leaveStored(principal.subject, connection, ports.state)
  throw new IngestError(
    'push.quota_exceeded',
    `this token has ${open.length - 1} sessions open and may have ${limit}; close one first`,
    { retryAfterMs: 5000 },
  )
}

export async function leaveStored(subject: string, connection: string, state: StateStore): Promise<void> {
  await state.write([{ ...connectionKey(subject, connection), remove: true, expect: 'any' }])
}
