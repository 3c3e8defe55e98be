import { isDeepStrictEqual } from 'node:util'
import { expect, test } from '@jest/globals'
import { createBatchWriter } from '../../../shared/columnar/parquet-writer.ts'
import type { LogicalType, Schema } from '../../../shared/schema/types.ts'
import { readDuckdb, readHyparquet, writeFile } from '../../support/columnar.ts'

const column = (type: LogicalType): Schema => ({ fields: [{ name: 'v', type, nullable: true }] })
const formats = ['append', 'appendCopy', 'appendCsv'] as const
const document = (format: (typeof formats)[number], texts: readonly string[], quote: string) =>
  texts.map((text) => (format === 'append' ? `{"v":${quote}${text}${quote}}\n` : `${text}\n`)).join('')

/** Numbers are read eight bytes at a time: every count of digits before and behind the point, up to more than two words. */
const digits = Array.from({ length: 19 }, (_, n) => Array.from({ length: 19 }, (_, k) => [n + 1, k] as const)).flat()
const grid = digits.map(
  ([n, k]) => `9${'0123456789'.repeat(2).slice(1, n)}${k ? `.${'5070901030'.repeat(2).slice(0, k)}` : ''}`,
)
const numbers = [
  ...grid,
  ...grid.map((text) => `-${text}`),
  ...grid.map((text) => `${text}e-3`),
  '0',
  '-0',
  '0.5',
  '0.0',
]

test.each(formats)('with %s, doubles of every count of digits are the nearest ones', async (format) => {
  const { bytes, rejections } = writeFile(column({ kind: 'double' }), [document(format, numbers, '')], {}, format)

  expect(rejections).toEqual([])
  const [...rows] = await readDuckdb(column({ kind: 'double' }), bytes)
  expect(rows.map(([v]) => v)).toEqual(numbers.map(Number))
})

test.each(formats)('with %s, decimals and integers of every count of digits are exact', async (format) => {
  const decimal = column({ kind: 'decimal', precision: 38, scale: 18 })
  const texts = numbers.filter((text) => /^-?\d{1,19}(\.\d{1,18})?$/.test(text))
  const whole = texts.filter((text) => /^-?\d{1,18}$/.test(text))
  const small = whole.filter((text) => Math.abs(Number(text)) < 2 ** 31)

  const read = async (schema: Schema, values: readonly string[]) =>
    (await readDuckdb(schema, writeFile(schema, [document(format, values, '')], {}, format).bytes)).map(([v]) => v)

  const unscaled = (text: string) => {
    const [, sign = '', before = '', behind = ''] = /^(-?)(\d+)(?:\.(\d+))?$/.exec(text)!
    return BigInt(sign + before + behind.padEnd(18, '0'))
  }
  expect(await read(decimal, texts)).toEqual(texts.map(unscaled))
  expect(await read(column({ kind: 'long' }), whole)).toEqual(whole.map(BigInt))
  expect(await read(column({ kind: 'integer' }), small)).toEqual(small.map(BigInt))
})

test.each(['01', '-', '1.', '.5', '1.e3', '12345678.', '1234567.a', '+1', '1e', '00.5', '1.2.3', '0x10', '1_0'])(
  'the text %s is no number of JSON',
  (text) => {
    const { rows, rejections } = writeFile(column({ kind: 'double' }), [`{"v":${text}}\n{"v":1}\n`])

    expect(rows).toBe(1)
    expect(rejections).toMatchObject([{ record: 0 }])
  },
)

const day = '2024-02-29'
const moment = '2024-02-29T12:34:56.789Z'
/** Characters beside the digits, and beside those with a bit more or less. */
const strangers = ['/', ':', ' ', 'a', '-', 'P', '\u00b0']
const broken = (text: string) =>
  [...text].flatMap((c, i) => strangers.filter((s) => s !== c).map((s) => text.slice(0, i) + s + text.slice(i + 1)))

test.each(formats)('with %s, a day with a stranger in any place is no day', (format) => {
  const texts = broken(day).filter((text) => text !== '-024-02-29')
  const { rows, rejections } = writeFile(column({ kind: 'date' }), [document(format, texts, '"')], {}, format)

  expect(rejections.map(({ record }) => texts[record])).toEqual(texts)
  expect(rows).toBe(0)
})

test.each(formats)('with %s, a moment is read only in its form', async (format) => {
  // A space may stand for the T, and the zone may be left out with the fraction's end.
  const texts = broken(moment).filter((text) => !/^2024-02-29[ ]|789$/.test(text))
  const schema = column({ kind: 'timestamp' })
  const { rows, rejections } = writeFile(schema, [document(format, texts, '"')], {}, format)

  expect(rejections.map(({ record }) => texts[record])).toEqual(texts)
  expect(rows).toBe(0)
})

test.each(formats)('with %s, days around the ends of months and centuries are exact', async (format) => {
  const schema = column({ kind: 'date' })
  const years = [1, 100, 400, 999, 1582, 1600, 1700, 1899, 1900, 1904, 1969, 1970, 1999, 2000, 2024, 2100, 9999]
  const texts = years.flatMap((year) =>
    Array.from({ length: 14 }, (_, month) =>
      [0, 1, 28, 29, 30, 31, 32].map((d) =>
        [String(year).padStart(4, '0'), String(month).padStart(2, '0'), String(d).padStart(2, '0')].join('-'),
      ),
    ).flat(),
  )
  const isDay = (text: string) => {
    const date = new Date(`${text}T00:00:00Z`)
    return !Number.isNaN(date.getTime()) && date.toISOString().slice(0, 10) === text
  }

  const { bytes, rejections } = writeFile(schema, [document(format, texts, '"')], {}, format)

  expect(rejections.map(({ record, code }) => [texts[record], code])).toEqual(
    texts.filter((text) => !isDay(text)).map((text) => [text, 'out_of_range']),
  )
  expect((await readHyparquet(schema, bytes)).map(([v]) => v)).toEqual(
    texts.filter(isDay).map((text) => BigInt(Date.parse(`${text}T00:00:00Z`) / 86_400_000)),
  )
})

test.each(['appendCopy', 'appendCsv'] as const)(
  'with %s, a line beyond the limit is one rejection, and what was bad in it does not stain the next',
  (format) => {
    for (let cut = 1; cut < 60; cut += 7) {
      const line = Buffer.concat([Buffer.from('x'.repeat(40)), Buffer.of(0xff), Buffer.from('y'.repeat(40))])
      const text = Buffer.concat([Buffer.from('a\n'), line, Buffer.from('\nb\nc\n')])
      const writer = createBatchWriter(column({ kind: 'string' }), { maxRecordBytes: 20 })

      for (let at = 0; at < text.length; at += cut) writer[format](text.subarray(at, at + cut))

      expect(writer.finish()).toMatchObject({ rows: 3, rejected: 1 })
    }
  },
)

test.each(['append', 'appendCopy', 'appendCsv'] as const)(
  'with %s, the limit of a record holds in one chunk too',
  (format) => {
    const text = document(format, ['short', 'l'.repeat(50), 'short'], '"')

    const { rows, rejections } = writeFile(column({ kind: 'string' }), [text], { maxRecordBytes: 20 }, format)

    expect(rows).toBe(2)
    expect(rejections).toMatchObject([{ record: 1, code: 'too_large' }])
  },
)

test('rows that JSON.stringify could write and rows that it could not are written alike', async () => {
  const schema: Schema = {
    fields: [
      { name: 's', type: { kind: 'string' }, nullable: true },
      { name: 'd', type: { kind: 'double' }, nullable: true },
      { name: 'l', type: { kind: 'array', element: { kind: 'long' }, containsNull: true }, nullable: true },
      {
        name: 'o',
        type: { kind: 'struct', fields: [{ name: 'x', type: { kind: 'timestamp' }, nullable: true }] },
        nullable: true,
      },
    ],
  }
  class Row {
    s = 'own'
    toJSON() {
      return { s: 'another' }
    }
  }
  const x = '2024-01-02T03:04:05.006Z'
  const rows = [
    { s: 'a"\n\u2028', d: 1.5, l: [1, undefined, null], o: { x } },
    { s: 'b', d: -0, l: [1n, 2n ** 62n], o: { x: new Date(x) } },
    { s: 'c', d: Number.NaN, l: [], o: { x: undefined, unknown: 1n } },
    { s: undefined, unknown: new Map(), d: Number.POSITIVE_INFINITY },
    new Row() as never,
  ]
  const writer = createBatchWriter(schema)

  writer.appendRows(rows)

  expect(writer.finish()).toMatchObject({ rows: rows.length, rejected: 0 })
  const at = BigInt(Date.parse(x)) * 1000n
  expect(await readDuckdb(schema, Buffer.concat(writer.take()))).toEqual([
    ['a"\n\u2028', 1.5, [1n, null, null], [at]],
    ['b', -0, [1n, 2n ** 62n], [at]],
    ['c', Number.NaN, [], [null]],
    [null, Number.POSITIVE_INFINITY, null, null],
    ['own', null, null, null],
  ])
})

test('keys of every length are found, in the order of the schema and out of it', async () => {
  const wrong: unknown[] = []
  for (let n = 1; n <= 70; n++) {
    const [a, b] = ['a', 'b'].map((end) => 'k'.repeat(n - 1) + end) as [string, string]
    const long = { kind: 'long' } as const
    const schema: Schema = {
      fields: [
        { name: a, type: long, nullable: true },
        { name: b, type: long, nullable: false },
      ],
    }
    const good = [
      `{"${a}":1,"${b}":2}`,
      `{"${b}":2,"${a}":1}`,
      `{ "${a}" : 1 , "${b}" :2 }`,
      `{"${a}":7,"${b}":2,"${a}":1}`,
      `{"${a}":1,"${a}c":3,"${b}":2}`,
      `{"${'k'.repeat(n - 1)}c":3,"${a}":1,"${b}":2}`,
      `{"${a}":1,"${'k'.repeat(n - 1)}\\u0062":2}`,
      `{"${b}":2}`,
    ]
    const bad = [`{"${a}":1}`, `{"${a}":1,}`, `{"${a}":1,"${b}":2,}`, `{"${a}"1,"${b}":2}`, `{"${a}":1 "${b}":2}`, '{}']

    const file = writeFile(schema, [[...good, ...bad].join('\n')])

    const rows = good.map((_, i) => [i === good.length - 1 ? null : 1n, 2n])
    const read = await readHyparquet(schema, file.bytes)
    const codes = file.rejections.map(({ code }) => code)
    const wanted = ['missing', 'malformed', 'malformed', 'malformed', 'malformed', 'missing']
    if (!isDeepStrictEqual(read, rows) || !isDeepStrictEqual(codes, wanted)) wrong.push([n, read, codes])
  }
  expect(wrong).toEqual([])
})

test('no bytes pass for the key of a field that has none: with a name to be escaped, or for the rest of the record', () => {
  const schema: Schema = {
    fields: ['a"b', '_rescued_data'].map((name) => ({ name, type: { kind: 'string' }, nullable: true })),
  }
  const bytes = [0, 0x22, 0x30, 0xff].flatMap((byte) =>
    [16, 32, 48].map((count) => Buffer.concat([Buffer.from('{'), Buffer.alloc(count, byte), Buffer.from('"x"}\n')])),
  )

  const { rejections } = writeFile(schema, [...bytes, '{"a\\"b":"x"}\n'], { unknownFields: 'rescue' })

  expect(rejections.map(({ record, code }) => [record, code])).toEqual(bytes.map((_, i) => [i, 'malformed']))
})

test('a record whose first value does not fit is told by that value, and leaves nothing of those behind it', async () => {
  const schema: Schema = {
    fields: [
      { name: 'n', type: { kind: 'integer' }, nullable: true },
      { name: 's', type: { kind: 'string' }, nullable: true },
      {
        name: 'o',
        type: { kind: 'struct', fields: [{ name: 'd', type: { kind: 'date' }, nullable: true }] },
        nullable: true,
      },
      { name: 'l', type: { kind: 'array', element: { kind: 'long' }, containsNull: true }, nullable: true },
    ],
  }
  const good = '{"n":1,"s":"a","o":{"d":"2024-02-29"},"l":[1,2]}\n'
  const bad = [
    ['n', '{"n":"x","s":"b","o":{"d":"2024-02-29"},"l":[3,4]}\n'],
    ['n', '{"n":1.5,"s":7,"o":{"d":"x"},"l":["y"]}\n'],
    ['o.d', '{"n":2,"s":"b","o":{"d":"2024-02-30"},"l":[3,4]}\n'],
    ['l[]', '{"n":2,"s":"b","o":{"d":"2024-02-29"},"l":[3,true]}\n'],
  ] as const

  const { bytes, rejections } = writeFile(schema, [good, ...bad.flatMap(([, text]) => [text, good])])

  expect(rejections.map(({ column }) => column)).toEqual(bad.map(([path]) => path))
  expect(bytes).toEqual(writeFile(schema, [good.repeat(bad.length + 1)]).bytes)
})
