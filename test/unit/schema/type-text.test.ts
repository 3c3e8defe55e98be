import { expect, test } from '@jest/globals'
import { parseTypeText, typeText } from '../../../shared/schema/type-text.ts'

test.each([
  'long',
  'decimal(38,18)',
  'timestamp_ntz',
  'array<array<string>>',
  'map<string,decimal(10,2)>',
  'struct<a:long,b:struct<c:map<string,array<double>>>>',
  'struct<`odd ``name``, with: signs`:string>',
])('%s reads back as it is written', (text) => {
  expect(typeText(parseTypeText(text))).toBe(text)
})

test('the short names and spaces of SQL are understood', () => {
  expect(typeText(parseTypeText('Struct< a : BIGINT , b : array<int> >'))).toBe('struct<a:long,b:array<integer>>')
  expect(typeText(parseTypeText('decimal( 10 , 2 )'))).toBe('decimal(10,2)')
})

test.each(['', 'money', 'array<long', 'decimal(39,0)', 'decimal(2,3)', 'struct<long>', 'long long', 'map<string>'])(
  '"%s" is refused with a form to follow',
  (text) => {
    expect(() => parseTypeText(text)).toThrow(/is not a column type; write for example/)
  },
)
