import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { columnBounds, fileMayContain, fileRows } from '../../../shared/delta/skipping.ts'
import { boundText } from '../../../shared/delta/stats.ts'
import type { TableSnapshot } from '../../../shared/delta/table.ts'
import { compareValues, parseValue } from '../../../shared/delta/values.ts'
import type { LogicalType } from '../../../shared/schema/types.ts'
import { column, emptyTable, logEntry, testPorts } from '../../support/delta.ts'

const table: TableSnapshot = await emptyTable(testPorts(), {
  schema: {
    fields: [
      column('day', 'date'),
      column('id'),
      column('time', 'timestamp'),
      column('name', 'string'),
      column('at', { kind: 'struct', fields: [column('city', 'string')] }),
    ],
  },
  partitionColumns: ['day'],
})

const file = logEntry('a', {
  partitionValues: { day: '2026-01-02' },
  stats:
    '{"numRecords":10,"minValues":{"id":9007199254740993,"time":"2026-01-02T00:00:00.123Z","at":{"city":"Bonn"}},' +
    '"maxValues":{"id":9007199254740995,"time":"2026-01-02T00:00:00.123Z","at":{"city":"Trier"}},' +
    '"nullCount":{"id":0,"time":0,"name":10,"at":{"city":3}}}',
})
const micros = (text: string) => parseValue(text, { kind: 'timestamp' }) as bigint

test('integers beyond a double are compared exactly', () => {
  expect(fileRows(file)).toBe(10)
  expect(columnBounds(file, table, ['ID'])).toEqual({ min: 9007199254740993n, max: 9007199254740995n, nulls: 0 })
  expect(fileMayContain(file, table, [{ column: ['id'], max: 9007199254740992n }])).toBe(false)
  expect(fileMayContain(file, table, [{ column: ['id'], max: 9007199254740993n }])).toBe(true)
  expect(fileMayContain(file, table, [{ column: ['id'], min: 9007199254740996n }])).toBe(false)
})

test('a maximum cut to milliseconds still holds its microseconds', () => {
  const at = (text: string) => [{ column: ['time'], min: micros(text), max: micros(text) }]

  expect(fileMayContain(file, table, at('2026-01-02T00:00:00.123999Z'))).toBe(true)
  expect(fileMayContain(file, table, at('2026-01-02T00:00:00.124Z'))).toBe(false)
})

test('nested columns, partition values and nulls are looked at', () => {
  const day = (text: string) => parseValue(text, { kind: 'date' })!

  expect(fileMayContain(file, table, [{ column: ['at', 'city'], min: 'Ulm' }])).toBe(false)
  expect(fileMayContain(file, table, [{ column: ['at', 'city'], min: 'Ulm', orNull: true }])).toBe(true)
  expect(fileMayContain(file, table, [{ column: ['day'], min: day('2026-01-03') }])).toBe(false)
  expect(fileMayContain(file, table, [{ column: ['day'], min: day('2026-01-02') }])).toBe(true)
  expect(fileMayContain(file, table, [{ column: ['name'], min: 'a' }])).toBe(false)
})

test.each([undefined, 'not json', '{}', '{"numRecords":1,"minValues":{"id":"x"}}'])(
  'a file with statistics %s may contain anything',
  (stats) => {
    const unknown = logEntry('a', stats === undefined ? {} : { stats })

    expect(fileMayContain(unknown, table, [{ column: ['id'], min: 1n, max: 1n }])).toBe(true)
    expect(fileMayContain(unknown, table, [{ column: ['no such column'], min: 1n }])).toBe(true)
  },
)

const kinds: [LogicalType, fc.Arbitrary<bigint | number | string>][] = [
  [{ kind: 'long' }, fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })],
  [{ kind: 'decimal', precision: 38, scale: 7 }, fc.bigInt({ min: -(10n ** 38n), max: 10n ** 38n })],
  [{ kind: 'double' }, fc.double({ noNaN: true, noDefaultInfinity: true })],
  [{ kind: 'date' }, fc.bigInt({ min: -719162n, max: 2932896n })],
  [{ kind: 'timestamp' }, fc.bigInt({ min: -62135596800000000n, max: 253402300799999999n })],
  [{ kind: 'string' }, fc.string({ unit: 'binary', maxLength: 40 })],
]

test.each(kinds)('bounds of %o read back never exclude the value they were made of', (type, values) => {
  fc.assert(
    fc.property(values, (value) => {
      const [min, max] = [boundText(value, type, 'min'), boundText(value, type, 'max')]
      const stats = `{"minValues":{"c":${min}}${max === undefined ? '' : `,"maxValues":{"c":${max}}`}}`
      const one = { ...table, schema: { fields: [column('c', type)] } }

      const bounds = columnBounds(logEntry('a', { stats }), one, ['c'])!

      expect(compareValues(bounds.min!, value)).toBeLessThanOrEqual(0)
      if (bounds.max !== undefined) expect(compareValues(bounds.max, value)).toBeGreaterThanOrEqual(0)
    }),
    { numRuns: 200 },
  )
})
