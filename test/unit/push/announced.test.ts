import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { committedRanges } from '../../../shared/push/stored-sessions.ts'
import { memoryQueue } from '../../../shared/queue/memory.ts'
import { memoryState } from '../../../shared/state/memory.ts'
import { memoryStorage } from '../../../shared/storage/memory.ts'
import { everyCrashPoint } from '../../support/crash.ts'
import { faultyQueue } from '../../support/faulty-queue.ts'
import { faultyState } from '../../support/faulty-state.ts'
import { faultyStorage } from '../../support/faulty-storage.ts'
import { batchOf, CLICKS, handClock, pushProcess, rowsOf } from '../../support/push.ts'
import { type FunctionPorts, pushFunctions } from '../../support/push-functions.ts'

const runs = process.env.SOAK ? 2000 : 25

function world(): FunctionPorts & { clock: ReturnType<typeof handClock> } {
  const clock = handClock()
  return {
    clock,
    storage: memoryStorage(),
    state: memoryState({ clock }),
    queue: memoryQueue({ clock }),
    flushed: memoryQueue({ clock }),
  }
}

const faulty = (ports: FunctionPorts, faults: Parameters<typeof faultyQueue>[1]): FunctionPorts => ({
  ...ports,
  storage: faultyStorage(ports.storage, faults),
  state: faultyState(ports.state, faults),
  queue: faultyQueue(ports.queue, faults),
  flushed: faultyQueue(ports.flushed, faults),
})

/** New functions take what the two queues still hold, until both are empty. */
async function drain(ports: ReturnType<typeof world>, firstSeed: number) {
  for (let seed = firstSeed; ; seed++) {
    const left = (await ports.queue.depth()).records + (await ports.flushed.depth()).records
    if (left === 0) return
    if (seed > firstSeed + 20) throw new Error('the queues do not become empty')
    ports.clock.forward(61_000)
    await pushFunctions(ports, seed).flush()
    await pushFunctions(ports, seed + 500).commit()
  }
}

const send = (ports: FunctionPorts, session: string, from: number, to: number) =>
  pushProcess(ports, 9000 + from).receive(batchOf(session, from, to))
const ids = async (ports: FunctionPorts) => (await rowsOf(ports.storage)).map((row) => row.id as string).sort()
const wanted = (session: string, count: number) => Array.from({ length: count }, (_, i) => `${session}:${i}`).sort()
const copies = async (ports: FunctionPorts) => (await Array.fromAsync(ports.storage.list('_push/'))).length

test('every record is in the table once, whichever await a function dies at, with every message delivered twice', async () => {
  const points = await everyCrashPoint(async (crash) => {
    const ports = world()
    await send(ports, 'a', 0, 3)
    await send(ports, 'a', 3, 5)
    await crash.life(async () => {
      const broken = faulty(ports, { crash, duplicate: true })
      await pushFunctions(broken, 1).flush()
      await pushFunctions(broken, 2).commit()
    })

    // The producer, which saw no ack, sends again in other batches than before.
    await send(ports, 'a', 2, 6)
    await drain(ports, 3)

    expect(await ids(ports)).toEqual(wanted('a', 6))
    expect(await committedRanges(CLICKS, 'a', ports.state)).toEqual([[0, 6]])
  })

  expect(points).toBeGreaterThan(30)
})

test('a file with a record of another file is given up, at whichever await, and its other records are stored', async () => {
  const points = await everyCrashPoint(async (crash) => {
    const ports = world()
    await send(ports, 'a', 0, 4)
    await pushFunctions(ports, 1).flush()
    // Sent again before the first file is committed, so a second flush does not know of it.
    await send(ports, 'a', 2, 6)
    await pushFunctions(ports, 2).flush()
    await crash.life(() => pushFunctions(faulty(ports, { crash }), 3).commit())

    await drain(ports, 4)

    expect(await ids(ports)).toEqual(wanted('a', 6))
  })

  expect(points).toBeGreaterThan(20)
})

test('nothing is left of what was in between', async () => {
  const ports = world()
  await send(ports, 'a', 0, 4)
  await pushFunctions(ports, 1).flush()
  await send(ports, 'a', 2, 6)
  await pushFunctions(ports, 2).flush()

  await drain(ports, 3)

  expect(await copies(ports)).toBe(0)
})

test('any batches, flushed and committed by any functions in any order, give each record once', async () => {
  const step = fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({
        do: fc.constant('send' as const),
        from: fc.nat(12),
        length: fc.integer({ min: 1, max: 6 }),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({ do: fc.constantFrom('flush' as const, 'commit' as const), late: fc.boolean() }),
    },
  )
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
      const ports = world()
      const sent = new Set<number>()
      let seed = 1
      for (const s of steps) {
        if (s.do === 'send') {
          await send(ports, 'a', s.from, s.from + s.length)
          for (let i = 0; i < s.length; i++) sent.add(s.from + i)
        } else {
          if (s.late) ports.clock.forward(61_000)
          await pushFunctions(ports, seed++)[s.do]()
        }
      }
      await drain(ports, 1000)

      expect(await ids(ports)).toEqual([...sent].map((offset) => `a:${offset}`).sort())
    }),
    { numRuns: runs },
  )
})
