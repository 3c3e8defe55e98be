import { expect, test } from '@jest/globals'
import { bytes, duration, rows } from '../../../local/numbers.ts'
import { cellText, Output, tableLines } from '../../../local/output.ts'
import { Redactor } from '../../../shared/core/redactor.ts'

test('columns are as wide as what they show, numbers to the right', () => {
  const lines = tableLines(
    [
      [1, '李小龍'],
      [20n, 'é'],
    ],
    ['id', 'name'],
  )

  expect(lines).toEqual(['id  name', '--  ------', ' 1  李小龍', '20  é'])
})

test('a value cannot draw on the terminal', () => {
  expect(cellText('a\nb\u001b[31m\u0000\u009b')).toBe('a\\nb\\u001b[31m\\u0000?')
})

test('every way out is redacted, and lines drawn in place are erased before the next', () => {
  const redactor = new Redactor()
  redactor.add('hunter2')
  let written = ''
  const stream = { isTTY: true, columns: 20, write: (text: string) => (written += text) }
  const output = new Output({ json: false, out: stream, errors: stream, redactor })

  output.draw(['is hunter2'])
  output.line('at hunter2')
  output.error('no hunter2')
  output.note('so hunter2')
  output.record({ a: 'hunter2', n: 1n })

  expect(written).toBe(
    'is [redacted]\n\u001b[1A\u001b[0Jat [redacted]\nno [redacted]\nso [redacted]\n{"a":"[redacted]","n":"1"}\n',
  )
})

test.each([
  [bytes(999), '999 B'],
  [bytes(1234), '1.23 kB'],
  [bytes(123_456_789), '123.5 MB'],
  [duration(850), '850 ms'],
  [duration(12_345), '12.3 s'],
  [duration(245_000), '4 min 5 s'],
  [duration(7_800_000), '2 h 10 min'],
  [rows(1), '1 row'],
  [rows(1234), '1,234 rows'],
])('%s', (text, expected) => {
  expect(text).toBe(expected)
})
