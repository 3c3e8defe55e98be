import { expect, test } from '@jest/globals'
import { splitRecords } from '../../../shared/load/split-records.ts'

const split = (format: 'copy' | 'csv' | 'ndjson', text: string): { records: string[][]; rest: string } => {
  const { records, end } = splitRecords(format, Buffer.from(text))
  return {
    records: records.map((fields) => fields.map((field) => Buffer.from(field).toString())),
    rest: text.slice(end),
  }
}

test.each<['copy' | 'csv' | 'ndjson', string, string[][], string]>([
  [
    'copy',
    'a\\tb\t\\N\n\t\nc',
    [
      ['a\\tb', '\\N'],
      ['', ''],
    ],
    'c',
  ],
  [
    'csv',
    'a,"b,\n""c"""\r\n,\nd,"e\n',
    [
      ['a', '"b,\n""c"""'],
      ['', ''],
    ],
    'd,"e\n',
  ],
  ['ndjson', '{"a":"}\\""}\n{"b":{"c":[1]}}\n{"d":', [['{"a":"}\\""}'], ['{"b":{"c":[1]}}']], '{"d":'],
  ['ndjson', '[\n {"a":\n1}, {"b":2}\n]\n', [['{"a": 1}'], ['{"b":2}']], ''],
  ['ndjson', 'no JSON\n{"a":1}', [['no JSON'], ['{"a":1}']], ''],
])('%s: %j', (format, text, records, rest) => {
  expect(split(format, text)).toEqual({ records, rest })
})

test.each(['copy', 'csv', 'ndjson'] as const)('%s that is cut anywhere gives the same records', (format) => {
  const text = { copy: 'a\tb\nc\td\n', csv: 'a,"b\n"\nc,d\n', ndjson: '[{"a":"\\"}"},{"b":{}}]\n' }[format]
  const { records } = split(format, text)

  for (let cut = 0; cut <= text.length; cut++) {
    const first = split(format, text.slice(0, cut))
    expect([...first.records, ...split(format, first.rest + text.slice(cut)).records]).toEqual(records)
  }
  expect(records).toHaveLength(2)
})
