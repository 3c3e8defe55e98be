import { expect, test } from '@jest/globals'
import { parseRowFilter } from '../../../shared/pipeline/row-filter.ts'

const number = (text: string) => ({ text, kind: 'number' as const })
const string = (text: string) => ({ text, kind: 'string' as const })

test.each([
  ['price > 10', { op: '>', column: 'price', value: number('10') }],
  ['a = 1.50', { op: '=', column: 'a', value: number('1.50') }],
  ['a == -1e3', { op: '=', column: 'a', value: number('-1e3') }],
  ["name <> 'O''Brien'", { op: '!=', column: 'name', value: string("O'Brien") }],
  ['"odd ""name""" <= 9007199254740993', { op: '<=', column: 'odd "name"', value: number('9007199254740993') }],
  ['`order` >= 5', { op: '>=', column: 'order', value: number('5') }],
  ['paid = TRUE', { op: '=', column: 'paid', value: { text: 'true', kind: 'boolean' } }],
  ["at < TIMESTAMP '2024-01-31 00:00:00'", { op: '<', column: 'at', value: string('2024-01-31 00:00:00') }],
  ['10 < price', { op: '>', column: 'price', value: number('10') }],
  ["state in ('new', 'paid')", { op: 'in', column: 'state', values: [string('new'), string('paid')], negated: false }],
  ['id NOT IN (1,2)', { op: 'in', column: 'id', values: [number('1'), number('2')], negated: true }],
  ["name LIKE 'a\\_%'", { op: 'like', column: 'name', pattern: 'a\\_%', negated: false }],
  ["name NOT LIKE '!%a\\b' ESCAPE '!'", { op: 'like', column: 'name', pattern: '\\%a\\\\b', negated: true }],
  ['gone IS NULL', { op: 'is null', column: 'gone', negated: false }],
  ['gone is not null', { op: 'is null', column: 'gone', negated: true }],
  ['Größe = 1', { op: '=', column: 'Größe', value: number('1') }],
])('%s is understood', (text, expected) => {
  const filter = parseRowFilter(text)

  expect(filter).toEqual(expected)
})

test('AND binds tighter than OR, and parentheses tighter than both', () => {
  const a = { op: '=', column: 'a', value: number('1') }
  const b = { op: '=', column: 'b', value: number('2') }
  const c = { op: '=', column: 'c', value: number('3') }

  expect(parseRowFilter('a = 1 OR b = 2 AND c = 3')).toEqual({ op: 'or', terms: [a, { op: 'and', terms: [b, c] }] })
  expect(parseRowFilter('(a = 1 OR b = 2) AND c = 3')).toEqual({
    op: 'and',
    terms: [{ op: 'or', terms: [a, b] }, c],
  })
})

test('NOT is carried down to the comparisons', () => {
  const filter = parseRowFilter("NOT (a < 1 OR b IS NULL AND NOT c LIKE 'x%')")

  expect(filter).toEqual({
    op: 'and',
    terms: [
      { op: '>=', column: 'a', value: number('1') },
      {
        op: 'or',
        terms: [
          { op: 'is null', column: 'b', negated: true },
          { op: 'like', column: 'c', pattern: 'x%', negated: false },
        ],
      },
    ],
  })
})

test('BETWEEN holds both ends', () => {
  const filter = parseRowFilter('a BETWEEN 1 AND 5 AND b = 2')

  expect(filter).toEqual({
    op: 'and',
    terms: [
      {
        op: 'and',
        terms: [
          { op: '>=', column: 'a', value: number('1') },
          { op: '<=', column: 'a', value: number('5') },
        ],
      },
      { op: '=', column: 'b', value: number('2') },
    ],
  })
})

test.each([
  ['', 'column 1: expected a column, found the end'],
  ['price >', "column 8: expected a number, a 'text', TRUE or FALSE, found the end"],
  ['price > 10 price', 'column 12: expected AND, OR or the end, found price'],
  ['(a = 1', 'column 7: expected ), found the end'],
  ['a = NULL', 'column 5: nothing equals NULL; write IS NULL or IS NOT NULL'],
  ["a = 'open", "column 5: the quote ' is never closed"],
  ['a # 1', 'column 3: # is not understood'],
  ['a = b', "column 5: expected a number, a 'text', TRUE or FALSE, found b"],
  ['lower(a) = 1', 'column 6: functions cannot be pushed down to the source'],
  ['t.a = 1', 'column 2: a column is named without its table; quote a name that holds a dot'],
  ['a IN ()', "column 7: expected a number, a 'text', TRUE or FALSE, found )"],
  ['a NOT = 1', 'column 7: expected IN, LIKE or BETWEEN after NOT, found ='],
  ['a IS 5', 'column 6: expected NULL after IS, found 5'],
  ['and = 1', 'column 1: expected a column, found and'],
  [`${'('.repeat(200)}a = 1`, 'column 102: conditions are nested more than 100 deep'],
])('%s is refused with its column', (text, message) => {
  expect(() => parseRowFilter(text)).toThrow(
    expect.objectContaining({ code: 'config.invalid', message: expect.stringContaining(`row filter, ${message}`) }),
  )
})
