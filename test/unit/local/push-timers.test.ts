import { afterEach, beforeEach, expect, jest, test } from '@jest/globals'
import { after } from '../../../local/push/timers.ts'

beforeEach(() => void jest.useFakeTimers())
afterEach(() => void jest.useRealTimers())

const DAY_MS = 24 * 3600_000

test('what is due in sixty days is done then, and neither before nor twice', () => {
  let done = 0
  after(60 * DAY_MS, () => done++)

  jest.advanceTimersByTime(60 * DAY_MS - 1)
  const before = done
  jest.advanceTimersByTime(60 * DAY_MS)

  expect([before, done]).toEqual([0, 1])
})

test('what was stopped, or is never due, is not done', () => {
  let done = 0
  const stop = after(60 * DAY_MS, () => done++)
  after(Number.POSITIVE_INFINITY, () => done++)

  jest.advanceTimersByTime(30 * DAY_MS)
  stop()
  jest.advanceTimersByTime(90 * DAY_MS)

  expect(done).toBe(0)
})
