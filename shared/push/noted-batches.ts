import * as z from 'zod'
import type { StateStore } from '../state/state-store.ts'
import { addRanges, prefixEnd } from './intervals.ts'
import { committedRanges, type SessionPorts } from './stored-sessions.ts'

/**
 * Which batches of a session are durable, for servers that share no memory: each batch is an entry of its own, written before
 * its ack, so that servers never wait for each other. Entries below what is committed are not looked at again.
 *
 *     push-session/<id>   0000000000000040-0000000000000060   records 40 to 59 are durable
 */
const partitionOf = (session: string) => `push-session/${session}`

/** Longer than a queue keeps an event that nobody could commit. */
const NOTE_TTL_MS = 30 * 24 * 3600_000

const padded = (offset: number) => String(offset).padStart(16, '0')

const note = z.object({ rejected: z.boolean() }).nullable()

/** Notes that records `from` to `to - 1` are durable, and whether some of them were left out. */
export async function noteBatch(
  session: string,
  { from, to, rejected }: { from: number; to: number; rejected: boolean },
  ports: SessionPorts,
): Promise<void> {
  const key = { partition: partitionOf(session), sort: `${padded(from)}-${padded(to)}` }
  const expiresAtMs = ports.clock.now() + NOTE_TTL_MS
  await ports.state.write([{ ...key, value: rejected ? { rejected } : null, expect: 'any', expiresAtMs }])
}

export interface Progress {
  /** Every record below it is durable. */
  durable: number
  /** Every record below it is in the table. */
  committed: number
  /** Some batch noted above what was known had records left out. */
  rejects: boolean
}

/**
 * How far a session is. `known` is what an earlier call said is durable, which stays so: fewer entries are read, or every message of
 * a busy session would read those of seconds. A batch that begins below it and ends above it counts once it is committed.
 */
export async function progressOf(table: string, session: string, state: StateStore, known = 0): Promise<Progress> {
  const [ranges, notes] = await Promise.all([
    committedRanges(table, session, state),
    state.list(partitionOf(session), known > 0 ? { after: `${padded(known - 1)}~` } : {}),
  ])
  const committed = prefixEnd(ranges)
  const durable = addRanges(
    [[0, Math.max(committed, known)]],
    notes.map(({ sort }) => sort.split('-').map(Number) as [number, number]),
  )
  const rejects = notes.some(({ value }) => note.parse(value)?.rejected)
  return { durable: prefixEnd(durable), committed, rejects }
}
