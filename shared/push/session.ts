import { IngestError } from '../core/errors.ts'
import { addRange, type Intervals, prefixEnd } from './intervals.ts'

/**
 * One connection's view of a session: pure, so that every interleaving can be tested.
 *
 *     offsets   0 ......... durable ......... next
 *               on disk      being made so     the next batch must begin here
 *
 * Batches arrive in order and may become durable in any order. `durable` is the end of the unbroken run from 0, which is
 * all an ack ever promises.
 */
export interface Session {
  readonly id: string
  /** The offset the next new batch begins at. */
  readonly next: number
  readonly done: Intervals
  /** Every record below it is in the table. Never above `durable`. */
  readonly committed: number
  readonly inFlightBytes: number
  readonly inFlightRecords: number
}

export interface Batch {
  readonly offset: number
  readonly count: number
  readonly bytes: number
}

/** `duplicate`: all of it was received before; its ack is already given or on its way. */
export type Offer = { kind: 'accepted'; session: Session } | { kind: 'duplicate' }

/** A session as stored: `durable` is a lower bound of what is durable, which is all a resuming producer needs. */
export function openSession(id: string, stored: { durable: number; committed: number }): Session {
  const durable = Math.max(stored.durable, stored.committed)
  return {
    id,
    next: durable,
    done: addRange([], 0, durable),
    committed: stored.committed,
    inFlightBytes: 0,
    inFlightRecords: 0,
  }
}

/** The end of what is durable without a gap. */
export const durableOf = (session: Session): number => prefixEnd(session.done)

/**
 * A batch arrives.
 *
 * @throws IngestError `push.offset_gap` (fix), `push.offset_overlap` (fix)
 */
export function offer(session: Session, batch: Batch): Offer {
  const end = batch.offset + batch.count
  if (end <= session.next) return { kind: 'duplicate' }
  if (batch.offset > session.next)
    throw new IngestError(
      'push.offset_gap',
      `got a batch at offset ${batch.offset}, wanted offset ${session.next}; send every record in order`,
    )
  if (batch.offset < session.next)
    throw new IngestError(
      'push.offset_overlap',
      `got records ${batch.offset} to ${end - 1}, of which those below ${session.next} were sent before on this connection; ` +
        `resend whole batches or begin at ${session.next}`,
    )
  return {
    kind: 'accepted',
    session: {
      ...session,
      next: end,
      inFlightBytes: session.inFlightBytes + batch.bytes,
      inFlightRecords: session.inFlightRecords + batch.count,
    },
  }
}

/** An accepted batch is durable. */
export function settle(session: Session, batch: Batch): Session {
  return {
    ...session,
    done: addRange(session.done, batch.offset, batch.offset + batch.count),
    inFlightBytes: session.inFlightBytes - batch.bytes,
    inFlightRecords: session.inFlightRecords - batch.count,
  }
}

/**
 * The table holds every record of the session below `upTo`. A committed record was durable, so this also moves `durable`:
 * it may have been made so by an earlier connection whose ack was lost.
 */
export function noteCommitted(session: Session, upTo: number): Session {
  if (upTo <= session.committed) return session
  return { ...session, committed: upTo, done: addRange(session.done, 0, upTo), next: Math.max(session.next, upTo) }
}

/** True while every batch that was accepted is durable: a drain or close may finish. */
export const isSettled = (session: Session): boolean => durableOf(session) >= session.next
