import { expect, test } from '@jest/globals'
import { createBacklog } from '../../../local/push/backlog.ts'

const MIB = 1 << 20
const limits = {
  window: { bytes: 4 * MIB, records: 1000 },
  inFlightBytes: 8 * MIB,
  memoryBytes: 100 * MIB,
  backlogBytes: 100 * MIB,
}

function backlog(stored = 0) {
  const queue = { depth: async () => ({ records: 0, bytes: stored }) }
  return createBacklog(queue, limits, () => 0)
}

test.each([
  { sessions: 0, bytes: 4 * MIB, records: 1000 },
  { sessions: 1, bytes: 4 * MIB, records: 1000 },
  { sessions: 2, bytes: 4 * MIB, records: 1000 },
  { sessions: 3, bytes: 2 * MIB, records: 500 },
  { sessions: 4, bytes: 2 * MIB, records: 500 },
  { sessions: 16, bytes: MIB / 2, records: 125 },
])('$sessions sessions with batches in flight divide what may be in flight', async ({ sessions, ...window }) => {
  const counted = backlog()
  const { promise, resolve } = Promise.withResolvers<void>()
  const works = Array.from({ length: sessions * 3 }, (_, i) =>
    counted.during({ session: `s${i % sessions}`, bytes: 1000 }, () => promise),
  )

  expect(counted.window()).toEqual(window)

  resolve()
  await Promise.all(works)
  expect(counted.window()).toEqual(limits.window)
})

test('a batch that fails is in flight no longer', async () => {
  const counted = backlog()
  const failing = counted.during({ session: 'a', bytes: 95 * MIB }, () => Promise.reject(new Error('refused')))

  expect(counted.window().bytes).toBeLessThan(MIB)

  await expect(failing).rejects.toThrow('refused')
  expect(counted.window()).toEqual(limits.window)
})

test.each([
  [50, 8],
  [75, 4],
  [99, 1],
  [100, 0],
])('with %i %% of the backlog stored a window has %i eighths of its size', async (percent, eighths) => {
  const counted = backlog(percent * MIB)
  await counted.recount()

  expect(counted.window().bytes).toBe((limits.window.bytes * eighths) / 8)
})
