import { expect, test } from '@jest/globals'
import { Redactor } from '../../../shared/core/redactor.ts'

const knowing = (...secrets: string[]) => {
  const redactor = new Redactor()
  for (const secret of secrets) redactor.add(secret)
  return redactor
}

test('a secret is taken out of text wherever it stands', () => {
  expect(knowing('hunter2').text('login hunter2 failed, xhunter2x')).toBe('login [redacted] failed, x[redacted]x')
})

test.each([
  ['in a URL', 'postgres://u:p%40ss%2Fword@h/db'],
  ['as JSON', '{"p":"p@ss/word"}'],
  ['as base64', `Basic ${btoa('p@ss/word')}`],
])('a secret is found %s', (_where, text) => {
  const redacted = knowing('p@ss/word').text(text)

  expect(redacted).toContain('[redacted]')
})

test('a secret with quotes and line ends is found inside JSON', () => {
  const secret = 'line "one"\nline two'

  expect(knowing(secret).text(JSON.stringify({ secret }))).toBe('{"secret":"[redacted]"}')
})

test('the longer of two secrets that overlap is taken out whole', () => {
  expect(knowing('pass', 'password').text('password pass')).toBe('[redacted] [redacted]')
})

test('a very short secret is taken out only where it stands alone', () => {
  expect(knowing('12').text('12 of 120 rows, x12')).toBe('[redacted] of 120 rows, x12')
})

test('signs of regular expressions in a secret mean themselves', () => {
  expect(knowing('a.*(b)|[c]-d/').text('a.*(b)|[c]-d/ axxb')).toBe('[redacted] axxb')
})

test('strings inside values are redacted, keys and other values are not', () => {
  const value = { hunter2: ['hunter2', 5, null, { a: 'is hunter2' }] }

  expect(knowing('hunter2').value(value)).toEqual({ hunter2: ['[redacted]', 5, null, { a: 'is [redacted]' }] })
})

test('without secrets, and with an empty one, text is left alone', () => {
  expect(knowing().text('abc')).toBe('abc')
  expect(knowing('', ' ').text('a b')).toBe('a b')
})
