import { expect, test } from '@jest/globals'
import type { LogicalType, Schema } from '../../../shared/schema/types.ts'
import { readDuckdb, readHyparquet, soak, writeFile } from '../../support/columnar.ts'

const column = (type: LogicalType): Schema => ({ fields: [{ name: 'n', type, nullable: true }] })
const records = (texts: readonly string[]) => texts.map((text) => `{"n":${text}}`).join('\n')

/** xorshift128+: the same numbers on every run. */
function generator(seed: bigint) {
  let a = seed
  let b = 0x9e3779b97f4a7c15n
  return () => {
    let x = a
    a = b
    x ^= BigInt.asUintN(64, x << 23n)
    b = x ^ a ^ (x >> 17n) ^ (a >> 26n)
    return BigInt.asUintN(64, a + b)
  }
}

const count = 20_000 * soak

test('random doubles are read as JavaScript reads them, however they are written', async () => {
  const next = generator(1n)
  const double = new Float64Array(1)
  const bits = new BigUint64Array(double.buffer)
  const texts: string[] = []
  while (texts.length < count) {
    bits[0] = next()
    const value = double[0]!
    if (!Number.isFinite(value)) continue
    const digits = `${next()}${next()}`
    const forms = [
      () => String(value),
      () => value.toExponential(20),
      () => value.toPrecision(17),
      () => `${digits.slice(0, 18)}.${digits.slice(18)}e${Number(next() % 600n) - 330}`,
      () => `0.${'0'.repeat(Number(next() % 30n))}${digits}`,
    ]
    texts.push(forms[texts.length % forms.length]!())
  }

  const schema = column({ kind: 'double' })
  const kept = texts.filter((text) => Number.isFinite(Number(text)))
  const file = writeFile(schema, [records(texts)])

  expect(file.rejected).toBe(texts.length - kept.length)
  expect((await readHyparquet(schema, file.bytes)).map(([value]) => value)).toEqual(kept.map(Number))
})

test('halfway cases and limits of doubles are exact', async () => {
  const texts = [
    '9007199254740993',
    '9007199254740992.5',
    '1.00000000000000011102230246251565404236316680908203125',
    '1.00000000000000011102230246251565404236316680908203126',
    '2.2250738585072011e-308',
    '5e-324',
    '2.47032822920623272e-324',
    '2.4703282292062327208e-324',
    '1.7976931348623157e308',
    '1.7976931348623158e308',
    '-0',
    '0e400',
    '1e-400',
    '8.5e-322',
    '123456789012345678901234567890',
  ]

  const schema = column({ kind: 'double' })
  const file = writeFile(schema, [records(texts)])

  expect(file.rejections).toEqual([])
  expect((await readHyparquet(schema, file.bytes)).map(([value]) => value)).toEqual(texts.map(Number))
})

test('random decimals of every precision and scale are exact', async () => {
  const next = generator(2n)
  for (const [precision, scale] of [
    [9, 2],
    [18, 6],
    [19, 0],
    [38, 10],
    [38, 38],
  ] as const) {
    const limit = 10n ** BigInt(precision)
    const values = Array.from({ length: count / 5 }, () => {
      const digits = 1n + (next() % BigInt(precision))
      const value = (((next() << 64n) | next()) % 10n ** digits) % limit
      return next() % 2n ? value : -value
    })
    const texts = values.map((value, i) => {
      const sign = value < 0n ? '-' : ''
      const digits = (value < 0n ? -value : value).toString()
      if (i % 3 === 1) return `${sign}${digits}e-${scale}`
      const padded = digits.padStart(scale + 1, '0')
      const text = scale === 0 ? digits : `${padded.slice(0, -scale)}.${padded.slice(-scale)}`
      return i % 3 === 2 ? `"${sign}${text}"` : `${sign}${text}`
    })

    const schema = column({ kind: 'decimal', precision, scale })
    const file = writeFile(schema, [records(texts)])

    expect(file.rejections).toEqual([])
    expect((await readDuckdb(schema, file.bytes)).map(([value]) => value)).toEqual(values)
  }
})

test.each<[LogicalType, string, string | undefined]>([
  [{ kind: 'long' }, '9223372036854775807', undefined],
  [{ kind: 'long' }, '-9223372036854775808', undefined],
  [{ kind: 'long' }, '9223372036854775808', 'out_of_range'],
  [{ kind: 'long' }, '-9223372036854775809', 'out_of_range'],
  [{ kind: 'long' }, '"12"', undefined],
  [{ kind: 'long' }, '1.0', undefined],
  [{ kind: 'long' }, '1e18', undefined],
  [{ kind: 'long' }, '1e19', 'out_of_range'],
  [{ kind: 'long' }, '1.5', 'wrong_type'],
  [{ kind: 'long' }, '" 1"', 'wrong_type'],
  [{ kind: 'byte' }, '-129', 'out_of_range'],
  [{ kind: 'short' }, '32768', 'out_of_range'],
  [{ kind: 'integer' }, '2147483648', 'out_of_range'],
  [{ kind: 'double' }, '1e400', 'out_of_range'],
  [{ kind: 'float' }, '1e39', 'out_of_range'],
  [{ kind: 'double' }, '"-Infinity"', undefined],
  [{ kind: 'double' }, '"inf"', 'wrong_type'],
  [{ kind: 'decimal', precision: 4, scale: 2 }, '99.99', undefined],
  [{ kind: 'decimal', precision: 4, scale: 2 }, '1.2300', undefined],
  [{ kind: 'decimal', precision: 4, scale: 2 }, '1.234', 'out_of_range'],
  [{ kind: 'decimal', precision: 4, scale: 2 }, '100', 'out_of_range'],
  [{ kind: 'decimal', precision: 38, scale: 0 }, '1e38', 'out_of_range'],
  [{ kind: 'decimal', precision: 38, scale: 0 }, '1e999999999', 'out_of_range'],
  [{ kind: 'decimal', precision: 38, scale: 0 }, '0e999999999', undefined],
  [{ kind: 'date' }, '"2023-02-29"', 'out_of_range'],
  [{ kind: 'date' }, '"2023-2-9"', 'wrong_type'],
  [{ kind: 'timestamp' }, '"2023-02-28T24:00:00Z"', 'out_of_range'],
  [{ kind: 'timestamp' }, '"2023-02-28T23:59:60Z"', 'out_of_range'],
  [{ kind: 'timestamp' }, '"2023-02-28"', undefined],
  [{ kind: 'timestamp_ntz' }, '"2023-02-28T10:00:00Z"', 'wrong_type'],
  [{ kind: 'binary' }, '"aGk"', undefined],
  [{ kind: 'binary' }, '"a"', 'wrong_type'],
  [{ kind: 'boolean' }, '"true"', 'wrong_type'],
])('a %j takes %s, or says %s', (type, text, code) => {
  expect(writeFile(column(type), [records([text])]).rejections[0]?.code).toBe(code)
})

test.each(['seconds', 'millis', 'micros'] as const)('a number for a timestamp counts %s', async (epoch) => {
  const texts = { seconds: '1700000000.123456', millis: '1700000000123.456', micros: '1700000000123456' }
  const schema = column({ kind: 'timestamp' })

  const file = writeFile(schema, [records([texts[epoch]])], { epoch })

  expect(await readHyparquet(schema, file.bytes)).toEqual([[1_700_000_000_123_456n]])
})

test('unknown fields are ignored, rejected, or rescued with their path', async () => {
  const schema: Schema = {
    fields: [
      {
        name: 'a',
        type: { kind: 'struct', fields: [{ name: 'b', type: { kind: 'long' }, nullable: true }] },
        nullable: true,
      },
      { name: '_rescued_data', type: { kind: 'string' }, nullable: true },
    ],
  }
  const text = '{"a":{"b":1,"c":[2]},"d":{"e":"\\u0041"}}\n{"a":{}}'

  expect(writeFile(schema, [text]).rejected).toBe(0)
  expect(writeFile(schema, [text], { unknownFields: 'reject' }).rejections).toMatchObject([
    { record: 0, code: 'unknown_field', column: 'd' },
  ])
  const rescued = writeFile(schema, [text], { unknownFields: 'rescue' })
  expect(await readHyparquet(schema, rescued.bytes)).toEqual([
    [[1n], '{"a.c":[2],"d":{"e":"\\u0041"}}'],
    [[null], null],
  ])
})

test('a record beyond the limit is rejected and the next one read', async () => {
  const schema = column({ kind: 'string' })
  const long = `{"n":"${'x'.repeat(300_000)}"}`

  const file = writeFile(schema, [`{"n":"a"}\n${long.slice(0, 200_000)}`, `${long.slice(200_000)}\n{"n":"b"}`], {
    maxRecordBytes: 100_000,
  })

  expect(file.rejections).toMatchObject([{ record: 1, start: 10, code: 'too_large' }])
  expect(await readHyparquet(schema, file.bytes)).toEqual([['a'], ['b']])
})

test('bounds of long strings are cut, and rounded up to what no value exceeds', () => {
  const schema = column({ kind: 'string' })
  const emoji = '\u{1f600}'.repeat(60)

  const { stats } = writeFile(schema, [records([JSON.stringify(emoji), JSON.stringify(`${'z'.repeat(127)}\u00e9z`)])])

  const { min, max, exact } = stats[0]!
  expect(exact).toBe(false)
  expect(min).toBe(`${'z'.repeat(127)}`)
  expect(max).toBe(`${'\u{1f600}'.repeat(31)}\u{1f601}`)
})

test('a column with NaN has no bounds, and zeros are bounded by both zeros', () => {
  const schema = column({ kind: 'double' })

  const nan = writeFile(schema, [records(['1', '"NaN"'])]).stats[0]!
  const zeros = writeFile(schema, [records(['0', '-0'])]).stats[0]!

  expect([nan.min, nan.max]).toEqual([undefined, undefined])
  expect([zeros.min, zeros.max]).toEqual([-0, 0])
})
