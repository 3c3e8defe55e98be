import { expect, test } from '@jest/globals'
import type { LeafStats } from '../../../shared/columnar/batch-writer.ts'
import { boundText, fileStats } from '../../../shared/delta/stats.ts'
import type { Schema } from '../../../shared/schema/types.ts'
import { column } from '../../support/delta.ts'

const leaf = (path: string, more: Partial<LeafStats> = {}): LeafStats => ({
  path: path.split('.'),
  nulls: 0,
  exact: true,
  ...more,
})

test('counts and bounds are in the form of the protocol, under physical names', () => {
  const schema: Schema = {
    fields: [
      { ...column('id'), physicalName: 'col-1' },
      column('price', { kind: 'decimal', precision: 20, scale: 2 }),
      column('at', { kind: 'struct', fields: [column('day', 'date'), column('time', 'timestamp')] }),
      column('ok', 'boolean'),
      column('tags', { kind: 'array', element: { kind: 'string' }, containsNull: true }),
    ],
  }
  const leaves = [
    leaf('col-1', { min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    leaf('price', { min: -5n, max: 123456789012345678901n, nulls: 2 }),
    leaf('at.day', { min: 0n, max: 20454n }),
    leaf('at.time', { min: -1n, max: 1_767_225_600_123_999n }),
    leaf('ok', { min: false, max: true }),
    leaf('tags', { nulls: 1 }),
  ]

  expect(fileStats(leaves, schema, 3)).toBe(
    '{"numRecords":3,' +
      '"minValues":{"col-1":-9223372036854775808,"price":-0.05,"at":{"day":"1970-01-01","time":"1969-12-31T23:59:59.999Z"}},' +
      '"maxValues":{"col-1":9223372036854775807,"price":1234567890123456789.01,"at":{"day":"2026-01-01","time":"2026-01-01T00:00:00.123Z"}},' +
      '"nullCount":{"col-1":0,"price":2,"at":{"day":0,"time":0},"ok":0,"tags":1}}',
  )
})

test('the first 32 leaves have statistics, or those the table names', () => {
  const schema: Schema = { fields: Array.from({ length: 40 }, (_, index) => column(`c${index}`)) }
  const leaves = schema.fields.map(({ name }) => leaf(name, { min: 1n, max: 2n }))
  const counted = (configuration?: Record<string, string>) =>
    Object.keys(JSON.parse(fileStats(leaves, schema, 1, configuration)).nullCount)

  expect(counted()).toHaveLength(32)
  expect(counted({ 'delta.dataSkippingNumIndexedCols': '-1' })).toHaveLength(40)
  expect(counted({ 'delta.dataSkippingNumIndexedCols': '2' })).toEqual(['c0', 'c1'])
  expect(counted({ 'delta.dataSkippingStatsColumns': 'c39, `C5`' })).toEqual(['c5', 'c39'])
})

const long = 'x'.repeat(31)

test.each([
  ['short', 'short', 'short'],
  [`${long}yz`, `${long}y`, `${long}y\u007f`],
  [`${long}y\u{e000}`, `${long}y`, `${long}y\u{10ffff}`],
  // The pair would be cut in half at unit 32.
  [`${long}\u{1f600}z`, long, `${long}\u{10ffff}`],
  [`${long}y\u{10ffff}`, `${long}y`, undefined],
])('the bounds of %j hold it', (value, min, max) => {
  expect(boundText(value, { kind: 'string' }, 'min')).toBe(JSON.stringify(min))
  expect(boundText(value, { kind: 'string' }, 'max')).toBe(max && JSON.stringify(max))
})

test('what has no form in the protocol has no bound', () => {
  expect(boundText(Number.NaN, { kind: 'double' }, 'min')).toBeUndefined()
  expect(boundText(Number.POSITIVE_INFINITY, { kind: 'double' }, 'max')).toBeUndefined()
  expect(boundText(-1_000_000n, { kind: 'date' }, 'min')).toBeUndefined()
  expect(boundText('aGk=', { kind: 'binary' }, 'min')).toBeUndefined()
})

test('a zero is bounded by both of its signs', () => {
  expect(boundText(0, { kind: 'double' }, 'min')).toBe('-0.0')
  expect(boundText(-0, { kind: 'double' }, 'max')).toBe('0.0')
})
