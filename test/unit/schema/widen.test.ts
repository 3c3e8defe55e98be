import { expect, test } from '@jest/globals'
import { parseTypeText, typeText } from '../../../shared/schema/type-text.ts'
import { commonType } from '../../../shared/schema/widen.ts'

const common = (a: string, b: string) => {
  const type = commonType(parseTypeText(a), parseTypeText(b))
  return type && typeText(type)
}

test.each([
  ['integer', 'long', 'long'],
  ['byte', 'short', 'short'],
  ['short', 'float', 'float'],
  ['float', 'double', 'double'],
  ['integer', 'double', 'double'],
  ['date', 'timestamp_ntz', 'timestamp_ntz'],
  ['date', 'timestamp', 'timestamp'],
  ['decimal(8,2)', 'decimal(12,2)', 'decimal(12,2)'],
  ['decimal(8,2)', 'decimal(8,4)', 'decimal(10,4)'],
  ['integer', 'decimal(5,2)', 'decimal(12,2)'],
  ['long', 'decimal(20,0)', 'decimal(20,0)'],
  ['array<integer>', 'array<long>', 'array<long>'],
  ['map<string,integer>', 'map<string,long>', 'map<string,long>'],
  ['struct<a:integer>', 'struct<a:long,b:string>', 'struct<a:long,b:string>'],
  ['struct<a:integer,b:string>', 'struct<b:string>', 'struct<a:integer,b:string>'],
])('%s and %s are held by %s, whichever comes first', (a, b, wanted) => {
  expect(common(a, b)).toBe(wanted)
  expect(commonType(parseTypeText(b), parseTypeText(a))).toBeDefined()
})

test.each([
  ['integer', 'string'],
  ['long', 'double'],
  ['integer', 'float'],
  ['decimal(38,0)', 'decimal(38,2)'],
  ['decimal(8,2)', 'double'],
  ['timestamp', 'timestamp_ntz'],
  ['boolean', 'integer'],
  ['string', 'binary'],
  ['struct<a:integer>', 'struct<a:string>'],
  ['array<integer>', 'integer'],
])('no type holds every value of %s and %s exactly', (a, b) => {
  expect(common(a, b)).toBeUndefined()
  expect(common(b, a)).toBeUndefined()
})

test('a type that holds the other one is given back itself', () => {
  const long = parseTypeText('long')

  expect(commonType(long, parseTypeText('integer'))).toBe(long)
})
