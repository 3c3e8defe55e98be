import { expect, test } from '@jest/globals'
import { isOpen, opensAt, refreshWindowOf } from '../../../shared/pipeline/refresh-window.ts'

const at = (text: string) => Date.parse(text)

test('a window is one hour long: half past nine is inside, ten is not', () => {
  const window = refreshWindowOf({ start_hour: 9 })!

  expect(isOpen(window, at('2026-01-01T09:30:00Z'))).toBe(true)
  expect(isOpen(window, at('2026-01-01T10:00:00Z'))).toBe(false)
  expect(opensAt(window, at('2026-01-01T10:00:00Z'))).toBe(at('2026-01-02T09:00:00Z'))
})

test('hours and days are those of the time zone', () => {
  const window = refreshWindowOf({ start_hour: 1, days_of_week: ['MONDAY'], time_zone_id: 'Asia/Kathmandu' })!

  expect(opensAt(window, at('2026-01-01T00:00:00Z'))).toBe(at('2026-01-04T19:15:00Z'))
})

test('an hour that a change of clocks skips comes again on the next day it exists', () => {
  const window = refreshWindowOf({ start_hour: 2, days_of_week: ['SUNDAY'], time_zone_id: 'Europe/Berlin' })!

  expect(opensAt(window, at('2026-03-28T12:00:00Z'))).toBe(at('2026-04-05T00:00:00Z'))
})

test('a time zone that does not exist is refused by name', () => {
  expect(() => refreshWindowOf({ start_hour: 2, time_zone_id: 'Mars/Olympus' })).toThrow(
    'there is no time zone Mars/Olympus',
  )
})
