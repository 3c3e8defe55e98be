import { expect, test } from '@jest/globals'
import { canonicalOf } from '../../../shared/sync/canonical.ts'

test.each([
  ['1970-01-01 00:00:00+00', '0'],
  ['0001-01-01 00:00:00', '-62135596800000000'],
  ['0044-03-15 12:00:00.000001 BC', '-63517780799999999'],
  ['2026-02-29T00:00:00Z', '1772323200000000'],
  ['294247-01-10 04:00:54.775807+00', '9223372036854775807'],
  ['294276-12-31 23:59:59.999999+00', '9224318015999999999'],
])('the time %s is %s microseconds, also beyond the dates of JavaScript', (text, microseconds) => {
  expect(canonicalOf(text, { kind: 'timestamp' })).toBe(microseconds)
})

test('a date of the year 5874897, the last of PostgreSQL, is its number of days', () => {
  expect(canonicalOf('5874897-12-31', { kind: 'date' })).toBe('2145042905')
})
