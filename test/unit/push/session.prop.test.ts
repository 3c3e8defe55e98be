import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import type { IngestError } from '../../../shared/core/errors.ts'
import {
  type Batch,
  durableOf,
  isSettled,
  noteCommitted,
  offer,
  openSession,
  type Session,
  settle,
} from '../../../shared/push/session.ts'

type Step =
  | { do: 'send'; offset: number; count: number }
  | { do: 'store'; pick: number }
  | { do: 'commit' }
  | { do: 'reconnect'; forgets: number }

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('send' as const),
      offset: fc.nat(3),
      count: fc.integer({ min: 1, max: 5 }),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('store' as const), pick: fc.nat(20) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('commit' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('reconnect' as const), forgets: fc.nat(3) }) },
)

/** The model is a list of flags, one a record: is it durable? */
test('an ack never covers a record that is not durable, and every order of storing ends in the same place', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const stored = new Set<number>()
      let waiting: Batch[] = []
      let session = openSession('session-1', { durable: 0, committed: 0 })

      for (const s of steps) {
        if (s.do === 'send') {
          const batch = { offset: Math.max(0, session.next - 2 + s.offset), count: s.count, bytes: 10 }
          const result = tryOffer(session, batch)
          if (batch.offset > session.next) expect(result).toBe('push.offset_gap')
          else if (batch.offset + batch.count <= session.next) expect(result).toEqual({ kind: 'duplicate' })
          else if (batch.offset < session.next) expect(result).toBe('push.offset_overlap')
          else {
            expect(result).toMatchObject({ kind: 'accepted' })
            session = (result as { session: Session }).session
            waiting.push(batch)
          }
        }
        if (s.do === 'store' && waiting.length > 0) {
          const [batch] = waiting.splice(s.pick % waiting.length, 1)
          for (let i = 0; i < batch!.count; i++) stored.add(batch!.offset + i)
          session = settle(session, batch!)
        }
        if (s.do === 'commit') session = noteCommitted(session, durableOf(session))
        if (s.do === 'reconnect') {
          const durable = Math.max(session.committed, durableOf(session) - s.forgets)
          session = openSession(session.id, { durable, committed: session.committed })
          waiting = []
        }

        let run = 0
        while (stored.has(run)) run++
        expect(durableOf(session)).toBeLessThanOrEqual(run)
        expect(session.committed).toBeLessThanOrEqual(durableOf(session))
        expect(session.inFlightRecords).toBe(waiting.reduce((sum, batch) => sum + batch.count, 0))
        expect(session.inFlightBytes).toBe(waiting.length * 10)
        expect(isSettled(session)).toBe(waiting.length === 0)
      }
    }),
  )
})

test('a session resumes at the higher of what was stored and what was committed', () => {
  const session = openSession('session-1', { durable: 40, committed: 70 })

  expect(session).toMatchObject({ next: 70, committed: 70 })
  expect(durableOf(session)).toBe(70)
})

function tryOffer(session: Session, batch: Batch) {
  try {
    return offer(session, batch)
  } catch (error) {
    return (error as IngestError).code
  }
}
