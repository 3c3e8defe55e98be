import { expect, test } from '@jest/globals'
import { scheduleOf } from '../../../shared/pipeline/schedule.ts'
import { PipelineSpec } from '../../../shared/pipeline/spec.ts'

const scheduled = (more: object) =>
  scheduleOf(
    PipelineSpec.parse({
      ingestion_definition: { connection_name: 'c', objects: [{ table: { source_table: 't' } }] },
      ...more,
    }),
  )

const cron = (quartz_cron_expression: string, timezone_id?: string) =>
  scheduled({ schedule: { quartz_cron_expression, ...(timezone_id && { timezone_id }) } })!

/** The first times after a moment, as ISO text. */
function timesAfter(schedule: ReturnType<typeof cron>, from: string, count: number): string[] {
  const times: string[] = []
  let at: number | undefined = Date.parse(from)
  while (times.length < count) {
    at = schedule.next(at!, undefined)
    if (at === undefined) break
    times.push(new Date(at).toISOString().replace('.000Z', 'Z'))
  }
  return times
}

test.each([
  ['0 0/15 * * * ?', '2026-03-01T10:07:00Z', ['2026-03-01T10:15:00Z', '2026-03-01T10:30:00Z']],
  ['*/10 * * * * ?', '2026-03-01T10:07:55Z', ['2026-03-01T10:08:00Z', '2026-03-01T10:08:10Z']],
  ['*/5 * * * *', '2026-03-01T10:55:00Z', ['2026-03-01T11:00:00Z', '2026-03-01T11:05:00Z']],
  ['0 0 6 ? * MON-FRI', '2026-03-06T06:00:00Z', ['2026-03-09T06:00:00Z', '2026-03-10T06:00:00Z']],
  ['0 0 6 ? * 2-6', '2026-03-06T06:00:00Z', ['2026-03-09T06:00:00Z']],
  ['0 6 * * 1-5', '2026-03-06T06:00:00Z', ['2026-03-09T06:00:00Z']],
  ['0 0 0 L * ?', '2026-02-01T00:00:00Z', ['2026-02-28T00:00:00Z', '2026-03-31T00:00:00Z']],
  ['0 0 0 LW * ?', '2026-02-01T00:00:00Z', ['2026-02-27T00:00:00Z']],
  ['0 0 0 1W * ?', '2026-02-02T00:00:01Z', ['2026-03-02T00:00:00Z']],
  ['0 0 0 ? * 6#3', '2026-03-01T00:00:00Z', ['2026-03-20T00:00:00Z']],
  ['0 0 0 ? * 6L', '2026-03-01T00:00:00Z', ['2026-03-27T00:00:00Z']],
  ['0 0 0 29 2 ?', '2026-03-01T00:00:00Z', ['2028-02-29T00:00:00Z']],
  ['0 0 13 * 5', '2026-03-01T00:00:00Z', ['2026-03-06T00:00:00Z', '2026-03-13T00:00:00Z', '2026-03-20T00:00:00Z']],
  ['0 0 22-1 * * ?', '2026-03-01T22:30:00Z', ['2026-03-01T23:00:00Z', '2026-03-02T00:00:00Z']],
  ['0 0 0 1 JAN ? 2030', '2026-03-01T00:00:00Z', ['2030-01-01T00:00:00Z']],
  ['0 0 0 1 1 ? 2020', '2026-03-01T00:00:00Z', []],
])('cron %s after %s', (expression, from, expected) => {
  expect(timesAfter(cron(expression), from, Math.max(1, expected.length))).toEqual(expected)
})

test('an hour that the change of clocks skips does not come, and one it repeats comes once', () => {
  const daily = cron('0 30 2 * * ?', 'Europe/Berlin')

  expect(timesAfter(daily, '2026-03-28T00:00:00Z', 2)).toEqual(['2026-03-28T01:30:00Z', '2026-03-30T00:30:00Z'])
  expect(timesAfter(daily, '2026-10-24T12:00:00Z', 2)).toEqual(['2026-10-25T00:30:00Z', '2026-10-26T01:30:00Z'])
})

test.each([
  ['0 0 25 * * ?', /hour 25 is not in 0-23/],
  ['0 0 0 32 * ?', /day 32/],
  ['* *', /it has 2 fields/],
  ['0 0 0 ? * FUNDAY', /weekday/],
  ['0 0/0 * * * ?', /step/],
])('cron %s is refused', (expression, message) => {
  expect(() => cron(expression)).toThrow(
    expect.objectContaining({ code: 'config.invalid', message: expect.stringMatching(message) }),
  )
})

test('an unknown time zone is refused', () => {
  expect(() => cron('0 0 6 * * ?', 'Berlin')).toThrow(/there is no time zone Berlin/)
})

test('a period counts from the last start and is due at once when there was none', () => {
  const schedule = scheduled({ trigger: { periodic: { interval: 5, unit: 'MINUTES' } } })!

  expect(schedule.text).toBe('every 5 minutes')
  expect(schedule.next(1_000_000, undefined)).toBe(1_000_000)
  expect(schedule.next(1_000_000, 900_000)).toBe(1_200_000)
  expect(schedule.next(1_000_000, 0)).toBe(1_000_000)
})

test('what comes due while a run lasts is skipped', () => {
  const schedule = scheduled({ trigger: { periodic: { interval: 5, unit: 'MINUTES' } } })!

  expect(schedule.following(100_000, 0)).toBe(300_000)
  expect(schedule.following(700_000, 0)).toBe(900_000)
  expect(schedule.following(600_000, 0)).toBe(900_000)
})

test('a pipeline that is paused, manual or without schedule never runs by itself', () => {
  expect(scheduled({})).toBeUndefined()
  expect(scheduled({ trigger: { manual: {} } })).toBeUndefined()
  expect(scheduled({ schedule: { quartz_cron_expression: '0 0 6 * * ?', pause_status: 'PAUSED' } })).toBeUndefined()
})
