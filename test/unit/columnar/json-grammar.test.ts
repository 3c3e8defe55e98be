// biome-ignore-all format: the cases of the suite are tables
import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { createValidator } from '../../../shared/columnar/validate.ts'
import type { Schema } from '../../../shared/schema/types.ts'
import { readHyparquet, soak, writeFile } from '../../support/columnar.ts'

const variant: Schema = { fields: [{ name: 'v', type: { kind: 'variant' }, nullable: true }] }

const bytesOf = (text: string) => Buffer.from(text, 'latin1')

/** The texts of JSONTestSuite (github.com/nst/JSONTestSuite, MIT), as bytes in latin1. */
const accepted = [
  '[[]   ]', '[""]', '[]', '["a"]', '[false]', '[null, 1, "1", {}]', '[null]', '[1\n]', ' [1]', '[1,null,null,null,2]', '[2] ',
  '[123e65]', '[0e+1]', '[0e1]', '[ 4]', '[-0.000000000000000000000000000000000000000000000000000000000000000000000000000001]\n',
  '[20e1]', '[-0]', '[-123]', '[-1]', '[1E22]', '[1E-2]', '[1E+2]', '[123e45]', '[123.456e78]', '[1e-2]', '[1e+2]', '[123]', '[123.456789]',
  '{"asd":"sdf", "dfg":"fgh"}', '{"asd":"sdf"}', '{"a":"b","a":"c"}', '{"a":"b","a":"b"}', '{}', '{"":0}', '{"foo\\u0000bar": 42}',
  '{ "min": -1.0e+28, "max": 1.0e+28 }', '{"x":[{"id": "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}], "id": "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}',
  '{"a":[]}', '{"title":"\\u041f\\u043e\\u043b\\u0442\\u043e\\u0440\\u0430 \\u0417\\u0435\\u043c\\u043b\\u0435\\u043a\\u043e\\u043f\\u0430" }', '{\n"a": "b"\n}',
  '["\\u0060\\u012a\\u12AB"]', '["\\uD801\\udc37"]', '["\\ud83d\\ude39\\ud83d\\udc8d"]', '["\\"\\\\\\/\\b\\f\\n\\r\\t"]', '["\\\\u0000"]', '["\\""]', '["a/*b*/c/*d//e"]',
  '["\\\\a"]', '["\\\\n"]', '["\\u0012"]', '["\\uFFFF"]', '["asd"]', '[ "asd"]', '["\\uDBFF\\uDFFF"]', '["new\\u00A0line"]',
  '["\u00f4\u008f\u00bf\u00bf"]', '["\u00ef\u00bf\u00bf"]', '["\\u0000"]', '["\\u002c"]', '["\u00cf\u0080"]', '["\u00f0\u009b\u00bf\u00bf"]', '["asd "]', '" "',
  '["\\uD834\\uDd1e"]', '["\\u0821"]', '["\\u0123"]', '["\u00e2\u0080\u00a8"]', '["\u00e2\u0080\u00a9"]', '["\\u0061\\u30af\\u30EA\\u30b9"]', '["new\\u000Aline"]',
  '["\u007f"]', '["\u00e2\u008d\u0082\u00e3\u0088\u00b4\u00e2\u008d\u0082"]', '["\\u005C"]', '["\\u0022"]', '["\\uDBFF\\uDFFE"]', '["\\uD83F\\uDFFE"]', '["\\u200B"]', '["\\u2064"]',
  '["\\uFDD0"]', '["\\uFFFE"]', '["\u00e2\u0082\u00ac\u00f0\u009d\u0084\u009e"]', '["a\u007fa"]', 'false', '42', '-0.1', 'null', '"asd"', 'true', '""', '["a"]\n', '[true]', ' [] ',
]

const refused = [
  '[1 true]', '[a\u00e5]', '["": 1]', '[""],', '[,1]', '[1,,2]', '["x",,]', '["x"]]', '["",]', '["x"', '[x', '[3[4]]', '[\u00ff]', '[1:2]', '[,]', '[-]', '[   , ""]',
  '["a",\n4\n,1,', '[1,]', '[1,,]', '["\u000ba"\\f]', '[*]', '[""', '[1,', '[1,\n1\n,1', '[{}', '[fals]', '[nul]', '[tru]', '123\u0000', '[++1234]', '[+1]', '[+Inf]', '[-01]', '[-1.0.]',
  '[-2.]', '[-NaN]', '[.-1]', '[.2e-3]', '[0.1.2]', '[0.3e+]', '[0.3e]', '[0.e1]', '[0e+]', '[0e]', '[0E+]', '[0E]', '[1.0e+]', '[1.0e-]', '[1.0e]', '[1 000.0]', '[1eE2]', '[2.e+3]',
  '[2.e-3]', '[2.e3]', '[9.e+]', '[Inf]', '[NaN]', '[\u00ef\u00bc\u0091]', '[1+2]', '[0x1]', '[0x42]', '[Infinity]', '[0e+-1]', '[-123.123foo]', '[123\u00e5]', '[1e1\u00e5]', '[0\u00e5]',
  '[-Infinity]', '[-foo]', '[- 1]', '[-012]', '[-.123]', '[-1x]', '[1ea]', '[1e\u00e5]', '[1.]', '[.123]', '[1.2a-3]', '[1.8011670033376514H-308]', '[012]',
  '["x", truth]', '{[: "x"}\n', '{"x", null}', '{"x"::"b"}', '{\u00f0\u009f\u0087\u00a8}', '{"a":"a" 123}', '{key: \'value\'}', '{"\u00b9":"0",}', '{"a" b}', '{:"b"}', '{"a" "b"}', '{"a":', '{"a"', '{1:1}',
  '{9999E9999:1}', '{null:null,null:null}', '{"id":0,,,,,}', "{'a':0}", '{"id":0,}', '{"a":"b"}/**/', '{"a":"b"}/**//', '{"a":"b"}//', '{"a":"b"}/', '{"a":"b",,"c":"d"}', '{a: "b"}', '{"a":"a',
  '{ "foo" : "bar", "a" }', '{"a":"b"}#', ' ', '["\\uD800\\"]', '["\\uD800\\u"]', '["\\uD800\\u1"]', '["\\uD800\\u1x"]', '[\u00e9]', '["\\\u0000"]', '["\\x00"]', '["\\\\\\"]', '["\\\t"]',
  '["\\\u00f0\u009f\u008c\u0080"]', '["\\"]', '["\\u00A"]', '["\\uD834\\uDd"]', '["\\uD800\\uD800\\x"]', '["\\u\u00e5"]', '["\\a"]', '["\\uqqqq"]', '["\\\u00e5"]', '[\\u0020"asd"]', '[\\n]', '"', "['single quote']",
  'abc', '["\\', '["a\u0000a"]', '["new\nline"]', '["\t"]', '"\\UA66D"', '""x', '<.>', '[<null>]', '[1]x', '[1]]', '["asd]', 'a\u00e5', '[True]', '1]', '{"x": true,', '[][]', ']', '\u00ef\u00bb\u00bf{}', '\u00ef\u00bb{}',
  '\u00e5', '[', '', '{"":[{"":', '2@', '{}}', '{"":', '{"a":/*comment*/"b"}', '{"a": true} "x"', "['", '[,', '[{', '["a', '["a"', '{', '{]', '{,', '{[', '{"a', "{'a'", '["\\{["\\{["\\{["\\{', '\u00e9', '*', '{"a":"b"}#{}',
  '[\\u000A""]', '[1', '[ false, nul', '[ true, fals', '[ false, tru', '{"asd":"asd"', '\u00e2\u0081\u00a0', '[\u000c]', '[\u00e2\u0081\u00a0]',
]

/** Texts the grammar leaves open, and what is decided (docs/columnar.md, "Decided cases"). */
const open: [text: string, isAccepted: boolean][] = [
  ['[123.456e-789]', true],
  ['[0.4e00669999999999999999999999999999999999999999999999999999999999999999969999999006]', true],
  ['[-1e+9999]', true],
  ['[123123123123123123123123123123]', true],
  ['{"\\uDFAA":0}', true],
  ['["\\uDADA"]', true],
  ['["\\uD888\\u1234"]', true],
  ['["\\uD800\\n"]', true],
  ['["\\uDd1ea"]', true],
  ['["\u00ff"]', false],
  ['["\u00e6\u0097\u00a5\u00d1\u0088\u00fa"]', false],
  ['["\u00f4\u00bf\u00bf\u00bf"]', false],
  ['["\u00c0\u00af"]', false],
  ['["\u00ed\u00a0\u0080"]', false],
  ['["\u0081"]', false],
  ['["\u00e0\u00ff"]', false],
  ['["\u00fc\u0083\u00bf\u00bf\u00bf\u00bf"]', false],
  [`${'['.repeat(500)}${']'.repeat(500)}`, true],
  [`${'['.repeat(513)}${']'.repeat(513)}`, false],
]

/** Whether the text is taken as the value of a field that is kept, and of one that is passed over. */
function takes(text: string): [boolean, boolean] {
  const validate = createValidator(variant)
  const inArray = (name: string) => Buffer.concat([bytesOf(`[{"${name}":`), bytesOf(text), bytesOf('}]')])
  const isTaken = (name: string) => validate(inArray(name)).rejected.length === 0
  return [isTaken('v'), isTaken('other')]
}

test.each(accepted)('%j is JSON', async (text) => {
  expect(takes(text)).toEqual([true, true])
  const file = writeFile(variant, [Buffer.concat([bytesOf('[{"v":'), bytesOf(text), bytesOf('}]')])])
  const [[kept]] = (await readHyparquet(variant, file.bytes)) as [[string | null]]
  expect(JSON.parse(kept ?? 'null')).toEqual(JSON.parse(bytesOf(text).toString()))
})

test.each(refused)('%j is not JSON', (text) => {
  expect(takes(text)).toEqual([false, false])
})

test.each(open)('%j is decided', (text, isAccepted) => {
  expect(takes(text)).toEqual([isAccepted, isAccepted])
})

const typed: Schema = {
  fields: [
    { name: 'v', type: { kind: 'variant' }, nullable: true },
    { name: 's', type: { kind: 'string' }, nullable: true },
    { name: 'd', type: { kind: 'double' }, nullable: true },
    { name: 'o', type: { kind: 'struct', fields: [{ name: 'x', type: { kind: 'string' }, nullable: true }] }, nullable: true },
    { name: 'l', type: { kind: 'array', element: { kind: 'double' }, containsNull: true }, nullable: true },
  ],
}

/** What `JSON.parse` makes of a line: undefined when it refuses. */
function parsed(line: Buffer): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(line))
  } catch {
    return undefined
  }
}

test.each(['{"s":1,"o":7},"l":[1]}', '{"s":1,"d":2', '{"s":{},"d":0.}', '[{"s":1,"d":2]'])(
  '%j is malformed, whatever types come before the break',
  (text) => {
    expect(writeFile(typed, [Buffer.from(text)]).rejections.map(({ code }) => code)).toEqual(['malformed'])
  },
)

test('mutated records are accepted and refused as JSON.parse does, and read the same', async () => {
  const record = fc.record(
    {
      v: fc.jsonValue({ maxDepth: 3 }),
      s: fc.string({ unit: 'binary' }),
      d: fc.double({ noNaN: true, noDefaultInfinity: true }),
      o: fc.record({ x: fc.string(), y: fc.jsonValue({ maxDepth: 2 }) }, { requiredKeys: [] }),
      l: fc.array(fc.double({ noNaN: true, noDefaultInfinity: true }), { maxLength: 3 }),
      unknown: fc.jsonValue({ maxDepth: 3 }),
    },
    { requiredKeys: [] },
  )
  const special = fc.constantFrom(...Buffer.from('"\\{}[],:0123456789.-+eEtfn u\u0000\u001f /dx\r\t'), 0x80, 0xc3, 0xe2, 0xff)
  const mutation = fc.record({ at: fc.nat(), byte: special, kind: fc.constantFrom('set', 'insert', 'remove', 'swap') })
  const cases = fc.record({ record, mutations: fc.array(mutation, { maxLength: 3 }), chunk: fc.integer({ min: 1, max: 64 }) })

  await fc.assert(
    fc.asyncProperty(cases, async ({ record: value, mutations, chunk }) => {
      let line = Buffer.from(JSON.stringify(value))
      for (const { at, byte, kind } of mutations) {
        const p = at % line.length
        const keep = kind === 'insert' ? p : p + 1
        const put = kind === 'remove' ? [] : [byte]
        line = Buffer.concat([line.subarray(0, p), Buffer.from(put), line.subarray(keep)])
        if (line.length === 0) line = Buffer.from(' ')
      }
      if (/^[ \t\r]*(\[|$)/.test(line.toString('latin1'))) return
      const expected = parsed(line)
      const parts = Array.from({ length: Math.ceil(line.length / chunk) }, (_, i) => line.subarray(i * chunk, (i + 1) * chunk))

      const file = writeFile(typed, parts)

      const [rejection] = file.rejections
      expect(rejection?.code === 'malformed').toBe(expected === undefined)
      if (rejection) return
      const object = expected as Record<string, unknown>
      const [[v, s, d]] = (await readHyparquet(typed, file.bytes)) as [[string | null, string | null, number | null]]
      expect(v === null ? null : JSON.parse(v)).toEqual(object.v ?? null)
      expect(s).toEqual((object.s as string | undefined)?.toWellFormed() ?? null)
      expect(d).toEqual(object.d === undefined || object.d === null ? null : Number(object.d))
    }),
    { numRuns: 800 * soak },
  )
})
