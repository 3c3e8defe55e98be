import type { StateStore } from '../state/state-store.ts'
import { addRange, type Intervals, prefixEnd } from './intervals.ts'
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

/** Notes that records `from` to `to - 1` are durable. */
export async function noteBatch(session: string, from: number, to: number, ports: SessionPorts): Promise<void> {
  const key = { partition: partitionOf(session), sort: `${padded(from)}-${padded(to)}` }
  await ports.state.write([{ ...key, value: null, expect: 'any', expiresAtMs: ports.clock.now() + NOTE_TTL_MS }])
}

export interface Progress {
  /** Every record below it is durable. */
  durable: number
  /** Every record below it is in the table. */
  committed: number
}

/**
 * How far a session is. A batch that begins below `committed` and ends above it counts once it is committed.
 *
 * `known`: a lower bound of what is committed, from an earlier call; fewer entries are read.
 */
export async function progressOf(table: string, session: string, state: StateStore, known = 0): Promise<Progress> {
  const [ranges, notes] = await Promise.all([
    committedRanges(table, session, state),
    state.list(partitionOf(session), known > 0 ? { after: `${padded(known - 1)}~` } : {}),
  ])
  const committed = prefixEnd(ranges)
  const durable = notes.reduce<Intervals>(
    (set, { sort }) => {
      const [from, to] = sort.split('-')
      return addRange(set, Number(from), Number(to))
    },
    addRange([], 0, committed),
  )
  return { durable: prefixEnd(durable), committed }
}
