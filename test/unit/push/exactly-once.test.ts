import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { turns } from '../../../shared/push/receive.ts'
import { committedRanges } from '../../../shared/push/stored-sessions.ts'
import { memoryQueue } from '../../../shared/queue/memory.ts'
import { memoryState } from '../../../shared/state/memory.ts'
import { memoryStorage } from '../../../shared/storage/memory.ts'
import { crashAt, everyCrashPoint } from '../../support/crash.ts'
import { faultyQueue } from '../../support/faulty-queue.ts'
import { faultyState } from '../../support/faulty-state.ts'
import { faultyStorage } from '../../support/faulty-storage.ts'
import { batchOf, CLICKS, filesOf, handClock, type PushPorts, pushProcess, rowsOf } from '../../support/push.ts'

const runs = process.env.SOAK ? 2000 : 25

function world(): PushPorts & { clock: ReturnType<typeof handClock> } {
  const clock = handClock()
  return { storage: memoryStorage(), state: memoryState({ clock }), queue: memoryQueue({ clock }), clock }
}

const faulty = (ports: PushPorts, faults: Parameters<typeof faultyQueue>[1]): PushPorts => ({
  ...ports,
  storage: faultyStorage(ports.storage, faults),
  state: faultyState(ports.state, faults),
  queue: faultyQueue(ports.queue, faults),
})

/** Flushes and commits as new processes do, until the queue is empty. */
async function drain(ports: ReturnType<typeof world>, firstSeed: number) {
  for (let seed = firstSeed; (await ports.queue.depth()).records > 0; seed++) {
    ports.clock.forward(61_000)
    await pushProcess(ports, seed).flushAndCommit()
    if (seed > firstSeed + 20) throw new Error('the queue does not become empty')
  }
}

/** As a producer does: the same batch until it is acknowledged. */
async function again(work: () => Promise<unknown>) {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work()
    } catch (error) {
      if (attempt === 5) throw error
    }
  }
}

const ids = async (ports: PushPorts) => (await rowsOf(ports.storage)).map((row) => row.id as string).sort()
const wanted = (counts: Record<string, number>) =>
  Object.entries(counts)
    .flatMap(([session, count]) => Array.from({ length: count }, (_, i) => `${session}:${i}`))
    .sort()

test.each([{ through: false }, { through: true }])(
  'every record is in the table once, whichever await the server dies at, with duplicates and resends %j',
  async (how) => {
    const points = await everyCrashPoint(async (crash) => {
      const ports = world()
      const acked: string[] = []
      await crash.life(async () => {
        const server = pushProcess(faulty(ports, { crash, duplicate: true }), 1, how)
        for (const [session, from, to] of [
          ['a', 0, 3],
          ['b', 0, 2],
          ['a', 3, 5],
        ] as const) {
          await server.receive(batchOf(session, from, to))
          acked.push(`${session}:${from}-${to}`)
        }
        await server.flushAndCommit()
        await server.receive(batchOf('a', 5, 6))
        acked.push('a:5-6')
        await server.flushAndCommit()
      })

      // The producers connect again and resend what they saw no ack for, and for good measure in other batches than before.
      const server = pushProcess(ports, 2, how)
      await server.receive(batchOf('b', 0, 2))
      await server.receive(batchOf('a', 0, 4))
      await server.flushAndCommit()
      await server.receive(batchOf('a', 2, 6))
      await drain(ports, 3)

      expect(await ids(ports)).toEqual(wanted({ a: 6, b: 2 }))
      expect(await committedRanges(CLICKS, 'a', ports.state)).toEqual([[0, 6]])
    })

    expect(points).toBeGreaterThan(40)
  },
)

test.each([{ through: false }, { through: true }])(
  'a lost reply of any write changes nothing in the end %j',
  async (how) => {
    for (let n = 1; n <= 12; n++) {
      const ports = world()
      const plan = crashAt(Number.POSITIVE_INFINITY)
      const server = pushProcess(faulty(ports, { loseReplyAfterWrite: n, crash: plan }), 1, how)
      for (let from = 0; from < 6; from += 2) {
        await again(() => server.receive(batchOf('a', from, from + 2)))
        await server.flushAndCommit().catch(() => {})
      }
      await drain(ports, 2)

      expect(await ids(ports)).toEqual(wanted({ a: 6 }))
    }
  },
)

test('any batches, sent any number of times by any number of processes, give each record once and in order', async () => {
  const send = fc.record({
    session: fc.constantFrom('a', 'b'),
    from: fc.nat(20),
    length: fc.integer({ min: 1, max: 8 }),
  })
  const step = fc.oneof(
    { weight: 5, arbitrary: fc.record({ do: fc.constant('send' as const), send }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('commit' as const), again: fc.boolean() }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const) }) },
  )
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
      const ports = world()
      await pushProcess(ports, 1).tables.open(CLICKS)
      const sent = { a: new Set<number>(), b: new Set<number>() }
      let seed = 2
      let server = pushProcess(ports, seed, { through: true })
      for (const s of steps) {
        if (s.do === 'send') {
          const { session, from, length } = s.send
          await server.receive(batchOf(session, from, from + length))
          for (let i = 0; i < length; i++) sent[session as 'a' | 'b'].add(from + i)
        } else if (s.do === 'restart') server = pushProcess(ports, ++seed, { through: seed % 2 === 0 })
        else {
          if (s.again) ports.clock.forward(61_000)
          await server.flushAndCommit()
        }
      }
      await drain(ports, 1000)

      const expected = Object.entries(sent).flatMap(([session, set]) =>
        [...set].map((offset) => `${session}:${offset}`),
      )
      expect(await ids(ports)).toEqual(expected.sort())
    }),
    { numRuns: runs },
  )
})

test('two servers that flush and commit the same records at the same time leave each record once', async () => {
  const ports = world()
  const first = pushProcess(ports, 1)
  await first.receive(batchOf('a', 0, 10))
  await first.flushAndCommit()
  await first.receive(batchOf('a', 10, 20))
  const again = { ...ports, queue: faultyQueue(ports.queue, {}) }

  const results = await Promise.allSettled([
    first.flushAndCommit(),
    (async () => {
      ports.clock.forward(61_000)
      return pushProcess(again, 2).flushAndCommit()
    })(),
  ])
  await drain(ports, 3)

  expect(results.some(({ status }) => status === 'fulfilled')).toBe(true)
  expect(await ids(ports)).toEqual(wanted({ a: 20 }))
})

test.each([{ through: false }, { through: true }])(
  'a batch that comes after a later one of its session is committed with it, not only when its visibility is over %j',
  async (how) => {
    const ports = world()
    const server = pushProcess(ports, 1, how)
    await server.receive(batchOf('a', 3, 6))
    if (!how.through) await server.flusher.take(await ports.queue.receive(everything))
    await server.receive(batchOf('a', 0, 3))
    await server.flushAndCommit()

    expect(await ids(ports)).toEqual(wanted({ a: 6 }))
  },
)

test('a batch whose table was opened sooner than that of the batch before is written after it', async () => {
  const ports = world()
  const server = pushProcess(ports, 1, { through: true })
  const nextTurn = turns()
  const [first, second] = [nextTurn(), nextTurn()]
  const later = server.receive(batchOf('a', 2, 4), CLICKS, second)
  await settled()
  await Promise.all([later, server.receive(batchOf('a', 0, 2), CLICKS, first)])
  await server.flushAndCommit()

  expect(await filesOf(ports.storage)).toEqual([[0, 1, 2, 3].map((n) => ({ id: `a:${n}`, n: BigInt(n) }))])
})

const everything = { maxBytes: 1 << 30, maxRecords: 10_000, visibilityMs: 60_000 }
const settled = () => new Promise((resolve) => setTimeout(resolve, 20))
