import { randomBytes } from 'node:crypto'
import * as z from 'zod'
import type { Clock } from '../core/clock.ts'
import { IngestError } from '../core/errors.ts'
import type { Json } from '../core/json.ts'
import type { EntryWrite, StateStore } from '../state/state-store.ts'
import { addRanges, type Intervals, intervalsSchema, prefixEnd } from './intervals.ts'

/** A session is forgotten this long after its last use or commit. */
const SESSION_TTL_MS = 30 * 24 * 3600_000
/** Entries of one write of the state store. */
const MAX_WRITES = 25

/** One partition a table: its sessions, what is committed of each, its schema versions and its committer. */
export const pushPartition = (table: string): string => `push/${table}`

const sessionEntry = z.object({
  subject: z.string(),
  durable: z.int().min(0),
})

/** What an Idempotency-Key stands for. */
const keyEntry = z.object({
  /** Of the body. */
  digest: z.string(),
  session: z.string(),
})

export interface StoredSession {
  id: string
  /** A lower bound: never more than what is durable. */
  durable: number
  committed: number
}

export interface SessionPorts {
  state: StateStore
  clock: Clock
}

/** Begins a session: nothing of it is durable yet. */
export async function beginSession(table: string, subject: string, ports: SessionPorts): Promise<StoredSession> {
  for (;;) {
    const id = newSession()
    const written = await ports.state.write([
      { ...sessionKey(table, id), value: { subject, durable: 0 }, expect: 'absent', ...lifetime(ports.clock) },
    ])
    // A producer must never be told a session that is not stored: it could not resume it.
    if (written) return { id, durable: 0, committed: 0 }
  }
}

/**
 * A session as any server finds it.
 *
 * @throws IngestError `push.session_unknown` (fix), the same for one that belongs to another subject
 */
export async function resumeSession(
  table: string,
  id: string,
  subject: string,
  ports: SessionPorts,
): Promise<StoredSession> {
  const entry = await ports.state.read(sessionKey(table, id))
  const stored = entry && sessionEntry.safeParse(entry.value)
  if (stored?.data?.subject !== subject)
    throw new IngestError(
      'push.session_unknown',
      `there is no session ${id} of this token on ${table}, or it has expired; begin a new session`,
    )
  const committed = prefixEnd(await committedRanges(table, id, ports.state))
  return { id, durable: Math.max(stored.data.durable, committed), committed }
}

/** Notes how far a session is durable, so that a server it resumes on knows. May lag; never goes back. */
export async function noteDurable(table: string, session: string, durable: number, ports: SessionPorts): Promise<void> {
  const key = sessionKey(table, session)
  const entry = await ports.state.read(key)
  const stored = entry && sessionEntry.safeParse(entry.value)
  if (!stored?.data || stored.data.durable >= durable) return
  // Losing the race to another server is fine: what it noted is true as well.
  const value = { ...stored.data, durable } as Json
  await ports.state.write([{ ...key, value, expect: entry!.version, ...lifetime(ports.clock) }])
}

/**
 * The session that an Idempotency-Key stands for: its records are 0 to count-1, whoever sends them how often. A key that is
 * used again after `ttlMs` stands for another one: what is known to be committed of a session outlives its key.
 *
 * @throws IngestError `push.frame_invalid` (fix) when the key was used for another body
 */
export async function sessionOfKey(
  table: string,
  request: { key: string; digest: string; ttlMs: number },
  ports: SessionPorts,
): Promise<Pick<StoredSession, 'id' | 'committed'>> {
  const key = { partition: pushPartition(table), sort: `key/${request.key}` }
  for (;;) {
    const session = newSession()
    const value = { digest: request.digest, session }
    const expiresAtMs = ports.clock.now() + request.ttlMs
    if (await ports.state.write([{ ...key, value, expect: 'absent', expiresAtMs }]))
      return { id: session, committed: 0 }
    const entry = await ports.state.read(key)
    // Forgotten between the two.
    if (!entry) continue
    const known = keyEntry.parse(entry.value)
    if (known.digest !== request.digest)
      throw new IngestError(
        'push.frame_invalid',
        'the Idempotency-Key was used for another body; use one key per request',
      )
    return { id: known.session, committed: prefixEnd(await committedRanges(table, known.session, ports.state)) }
  }
}

/** What of a session is in the table. */
export async function committedRanges(table: string, session: string, state: StateStore): Promise<Intervals> {
  const entry = await state.read(committedKey(table, session))
  return entry ? storedIntervals(entry.value) : []
}

/** Adds ranges to what is known to be committed. Adding them again changes nothing. Only the committer of the table calls it. */
export async function noteCommitted(
  table: string,
  ranges: Readonly<Record<string, Intervals>>,
  ports: SessionPorts,
): Promise<void> {
  const writes: EntryWrite[] = []
  for (const [session, added] of Object.entries(ranges)) {
    const entry = await ports.state.read(committedKey(table, session))
    const before = entry ? storedIntervals(entry.value) : []
    const value = addRanges(before, added)
    if (JSON.stringify(value) === JSON.stringify(before)) continue
    writes.push({
      ...committedKey(table, session),
      value: value as unknown as Json,
      expect: 'any',
      ...lifetime(ports.clock),
    })
  }
  for (let i = 0; i < writes.length; i += MAX_WRITES) await ports.state.write(writes.slice(i, i + MAX_WRITES))
}

function storedIntervals(value: Json): Intervals {
  const parsed = intervalsSchema.safeParse(value)
  if (parsed.success) return parsed.data
  throw new IngestError('state.invalid', 'the committed ranges of a session are not of a form this version knows')
}

const newSession = () => randomBytes(18).toString('base64url')

const sessionKey = (table: string, id: string) => ({ partition: pushPartition(table), sort: `session/${id}` })
const committedKey = (table: string, id: string) => ({ partition: pushPartition(table), sort: `committed/${id}` })
const lifetime = (clock: Clock) => ({ expiresAtMs: clock.now() + SESSION_TTL_MS })
