import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import type { LeafStats } from '../../../shared/columnar/batch-writer.ts'
import { createValidator } from '../../../shared/columnar/validate.ts'
import type { Field, LogicalType, Schema } from '../../../shared/schema/types.ts'
import { type Plain, queryFile, readDuckdb, readHyparquet, soak, writeFile } from '../../support/columnar.ts'

/** A value as JSON text, and as the readers should give it back. */
interface Sample {
  json: string
  plain: Plain
}

const sample = <T>(values: fc.Arbitrary<T>, json: (value: T) => string, plain: (value: T) => Plain) =>
  values.map((value): Sample => ({ json: json(value), plain: plain(value) }))

const quoted = (text: string) => JSON.stringify(text)
const wellFormed = fc.string({ unit: 'binary', maxLength: 20 })

const integers = (bits: bigint) =>
  sample(fc.bigInt({ min: -(1n << (bits - 1n)), max: (1n << (bits - 1n)) - 1n }), String, (value) => value)

const instant = (zone: string) =>
  sample(
    fc.bigInt({ min: -62_135_596_800_000_000n, max: 253_402_300_799_999_999n }),
    (micros) => {
      const millis = micros / 1000n - (micros % 1000n < 0n ? 1n : 0n)
      const rest = micros - millis * 1000n
      return quoted(new Date(Number(millis)).toISOString().replace('Z', `${String(rest).padStart(3, '0')}${zone}`))
    },
    (micros) => micros,
  )

function decimalText(unscaled: bigint, scale: number): string {
  const digits = (unscaled < 0n ? -unscaled : unscaled).toString().padStart(scale + 1, '0')
  const point = digits.length - scale
  const fraction = scale === 0 ? '' : `.${digits.slice(point)}`
  return `${unscaled < 0n ? '-' : ''}${digits.slice(0, point)}${fraction}`
}

function sampleOf(type: LogicalType): fc.Arbitrary<Sample> {
  switch (type.kind) {
    case 'boolean':
      return sample(fc.boolean(), String, (value) => value)
    case 'byte':
      return integers(8n)
    case 'short':
      return integers(16n)
    case 'integer':
      return integers(32n)
    case 'long':
      return integers(64n)
    case 'float':
      return sample(fc.float({ noNaN: true, noDefaultInfinity: true }), numberText, (value) => value)
    case 'double':
      return sample(fc.double({ noNaN: true, noDefaultInfinity: true }), numberText, (value) => value)
    case 'string':
      return sample(wellFormed, quoted, (text) => text)
    case 'binary':
      return sample(
        fc.uint8Array({ maxLength: 20 }),
        (bytes) => quoted(Buffer.from(bytes).toString('base64')),
        (bytes) => Buffer.from(bytes).toString('hex'),
      )
    case 'date':
      return sample(
        fc.integer({ min: -719_162, max: 2_932_896 }),
        (days) => quoted(new Date(days * 86_400_000).toISOString().slice(0, 10)),
        BigInt,
      )
    case 'timestamp':
      return instant('Z')
    case 'timestamp_ntz':
      return instant('')
    case 'decimal': {
      const limit = 10n ** BigInt(type.precision) - 1n
      return sample(
        fc.bigInt({ min: -limit, max: limit }),
        (unscaled) => decimalText(unscaled, type.scale),
        (unscaled) => unscaled,
      )
    }
    case 'struct':
      return recordOf(type.fields)
    case 'array':
      return fc.array(nullable(sampleOf(type.element), type.containsNull), { maxLength: 4 }).map((elements) => ({
        json: `[${elements.map(({ json }) => json).join(',')}]`,
        plain: elements.map(({ plain }) => plain),
      }))
    case 'map':
      return fc
        .uniqueArray(fc.tuple(fc.stringMatching(/^[a-z]{1,5}$/), nullable(sampleOf(type.value), true)), {
          selector: ([key]) => key,
          maxLength: 4,
        })
        .map((entries) => ({
          json: `{${entries.map(([key, { json }]) => `${quoted(key)}:${json}`).join(',')}}`,
          plain: entries.map(([key, { plain }]) => [key, plain]),
        }))
    default:
      return sample(
        fc.jsonValue({ maxDepth: 2 }).filter((value) => value !== null),
        JSON.stringify,
        JSON.stringify,
      )
  }
}

const numberText = (value: number) => (Object.is(value, -0) ? '-0.0' : String(value))

const nullable = (value: fc.Arbitrary<Sample>, can: boolean): fc.Arbitrary<Sample> =>
  can
    ? fc.oneof({ weight: 1, arbitrary: fc.constant({ json: 'null', plain: null }) }, { weight: 3, arbitrary: value })
    : value

/** An object of the fields, in any order; a nullable one may be absent. */
function recordOf(fields: readonly Field[]): fc.Arbitrary<Sample> {
  const members = fields.map((field) =>
    fc.record({
      value: nullable(sampleOf(field.type), field.nullable),
      absent: field.nullable ? fc.integer({ min: 0, max: 4 }).map((n) => n === 0) : fc.constant(false),
      place: fc.nat(),
    }),
  )
  return fc.tuple(...members).map((all) => ({
    json: `{${all
      .map(({ value, absent, place }, i) => ({ text: `${quoted(fields[i]!.name)} : ${value.json}`, absent, place }))
      .filter(({ absent }) => !absent)
      .sort((a, b) => a.place - b.place)
      .map(({ text }) => text)
      .join(' ,')}}`,
    plain: all.map(({ value, absent }) => (absent ? null : value.plain)),
  }))
}

const primitive = fc.oneof(
  fc
    .constantFrom(
      'boolean',
      'byte',
      'short',
      'integer',
      'long',
      'float',
      'double',
      'string',
      'binary',
      'date',
      'timestamp',
      'timestamp_ntz',
      'variant',
    )
    .map((kind): LogicalType => ({ kind }) as LogicalType),
  fc
    .integer({ min: 1, max: 38 })
    .chain((precision) =>
      fc.record({
        kind: fc.constant('decimal'),
        precision: fc.constant(precision),
        scale: fc.integer({ min: 0, max: precision }),
      }),
    )
    .map((type): LogicalType => type as LogicalType),
)

function typeOf(depth: number): fc.Arbitrary<LogicalType> {
  if (depth === 0) return primitive
  const below = typeOf(depth - 1)
  return fc.oneof(
    { weight: 4, arbitrary: primitive },
    { weight: 1, arbitrary: fieldsOf(below, 3).map((fields): LogicalType => ({ kind: 'struct', fields })) },
    {
      weight: 1,
      arbitrary: fc
        .tuple(below, fc.boolean())
        .map(([element, containsNull]): LogicalType => ({ kind: 'array', element, containsNull })),
    },
    {
      weight: 1,
      arbitrary: below.map(
        (value): LogicalType => ({ kind: 'map', key: { kind: 'string' }, value, valueContainsNull: true }),
      ),
    },
  )
}

function fieldsOf(type: fc.Arbitrary<LogicalType>, maxLength: number): fc.Arbitrary<Field[]> {
  return fc.array(fc.tuple(type, fc.boolean()), { minLength: 1, maxLength }).map((all) =>
    all.map(([inner, isNullable], i) => ({
      name: `${'field_name_'.slice(0, i * 4)}${i}`,
      type: inner,
      nullable: isNullable,
    })),
  )
}

const tables = fieldsOf(typeOf(4), 5).chain((fields) =>
  fc.record({
    schema: fc.constant<Schema>({ fields }),
    records: fc.array(recordOf(fields), { maxLength: 30 }),
    codec: fc.constantFrom('snappy' as const, 'zstd' as const, 'gzip' as const, 'none' as const),
    pageBytes: fc.constantFrom(64, 1 << 20),
    rowGroupBytes: fc.constantFrom(512, 32 << 20),
    chunk: fc.integer({ min: 1, max: 200 }),
  }),
)

function chunks(text: string, size: number): Uint8Array[] {
  const bytes = Buffer.from(text)
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => bytes.subarray(i * size, (i + 1) * size))
}

test('what is written is what hyparquet and DuckDB read, and what the validator accepts', async () => {
  await fc.assert(
    fc.asyncProperty(tables, async ({ schema, records, codec, pageBytes, rowGroupBytes, chunk }) => {
      const text = records.map(({ json }) => json).join('\n')
      const expected = records.map(({ plain }) => plain as Plain[])

      const options = { compression: codec, pageBytes, rowGroupBytes }
      const file = writeFile(schema, chunks(text, chunk), options)

      expect(file.rejections).toEqual([])
      expect(file.rows).toBe(records.length)
      expect(createValidator(schema)(Buffer.from(text))).toEqual({ accepted: records.length, rejected: [] })
      expect(await readDuckdb(schema, file.bytes)).toEqual(expected)
      const comparable = expected.map((row) => row.map((value, i) => withoutDecimals(value, schema.fields[i]!.type)))
      expect(await readHyparquet(schema, file.bytes)).toEqual(comparable)
      for (const [i, { type }] of schema.fields.entries()) {
        const stats = file.stats.find(({ path }) => path.length === 1 && path[0] === schema.fields[i]!.name)
        if (stats)
          expectBounds(
            stats,
            type,
            expected.map((row) => row[i]!),
          )
      }
    }),
    { numRuns: 25 * soak },
  )
})

function withoutDecimals(value: Plain, type: LogicalType): Plain {
  if (value === null) return null
  const parts = value as Plain[]
  if (type.kind === 'decimal') return null
  if (type.kind === 'array') return parts.map((part) => withoutDecimals(part, type.element))
  if (type.kind === 'struct') return parts.map((part, i) => withoutDecimals(part, type.fields[i]!.type))
  if (type.kind === 'map')
    return parts.map((pair) => [(pair as Plain[])[0]!, withoutDecimals((pair as Plain[])[1]!, type.value)])
  return value
}

function expectBounds(stats: LeafStats, type: LogicalType, values: Plain[]) {
  const present = values.filter((value) => value !== null)
  expect(stats.nulls).toBe(values.length - present.length)
  if (present.length === 0 || type.kind === 'binary' || type.kind === 'variant') {
    expect([stats.min, stats.max]).toEqual([undefined, undefined])
    return
  }
  const less = (a: Plain, b: Plain) =>
    typeof a === 'string' ? Buffer.compare(Buffer.from(a), Buffer.from(b as string)) < 0 : a! < b!
  for (const value of present) {
    expect(less(value, stats.min!)).toBe(false)
    expect(less(stats.max!, value)).toBe(false)
  }
  if (!stats.exact) return
  expect(present.some((value) => !less(stats.min!, value))).toBe(true)
  expect(present.some((value) => !less(value, stats.max!))).toBe(true)
}

test('a bad record leaves no trace in the file, whatever it is and wherever chunks end', () => {
  const broken = fc.constantFrom('{', '{"x":tru}', 'null', '[]x', '{}}', '"', '\u0001', '{"a":1 "b":2}')
  const cases = fieldsOf(typeOf(2), 4).chain((fields) =>
    fc.record({
      schema: fc.constant<Schema>({ fields: [...fields, { name: 'last', type: { kind: 'byte' }, nullable: false }] }),
      records: fc.array(fc.tuple(recordOf(fields), fc.constantFrom('1', '2', '300', '"x"', '1.5', undefined), broken), {
        maxLength: 30,
      }),
      chunk: fc.integer({ min: 1, max: 100 }),
      pageBytes: fc.constantFrom(64, 1 << 20),
    }),
  )

  fc.assert(
    fc.property(cases, ({ schema, records, chunk, pageBytes }) => {
      // The field that makes a record bad comes last, when all others have been written.
      const lines = records.map(([{ json }, last, bad], i) => {
        const text = json === '{}' ? '{' : `${json.slice(0, -1)},`
        const good = last !== undefined && /^[12]$/.test(last)
        return { good, line: i % 5 === 4 && !bad.startsWith('[') ? bad : `${text}"last":${last ?? 'null'}}` }
      })
      const isGood = (i: number) => lines[i]!.good && (i % 5 !== 4 || records[i]![2].startsWith('['))
      const all = lines.map(({ line }) => line)

      const mixed = writeFile(schema, chunks(all.join('\n'), chunk), { pageBytes })
      const clean = writeFile(schema, [all.filter((_, i) => isGood(i)).join('\n')], { pageBytes })

      expect(clean.rejections).toEqual([])
      expect(mixed.rejections.map(({ record }) => record)).toEqual(all.map((_, i) => i).filter((i) => !isGood(i)))
      expect(mixed.stats).toEqual(clean.stats)
      expect(mixed.bytes.equals(clean.bytes)).toBe(true)
    }),
    { numRuns: 60 * soak },
  )
})

test('DuckDB finds the metadata of every column chunk in order', async () => {
  const schema: Schema = {
    fields: [
      { name: 'a', type: { kind: 'string' }, nullable: true, id: 7 },
      { name: 'b', type: { kind: 'long' }, nullable: false, id: 8, physicalName: 'col-b' },
    ],
  }
  const lines = Array.from({ length: 5000 }, (_, i) => `{"a":${i % 3 ? `"v${i % 10}"` : 'null'},"b":${i}}`)

  const { bytes } = writeFile(schema, [lines.join('\n')], { pageBytes: 1024, rowGroupBytes: 16384 })

  const chunksOfFile = await queryFile(
    bytes,
    `
    SELECT path_in_schema, count(*) > 1, sum(num_values)::INT, sum(stats_null_count)::INT,
           min(stats_min_value), any_value(encodings), bool_and(total_compressed_size > 0)
    FROM parquet_metadata(FILE) GROUP BY 1 ORDER BY 1`,
  )
  const fieldIds = await queryFile(
    bytes,
    'SELECT name, field_id FROM parquet_schema(FILE) ORDER BY field_id NULLS FIRST',
  )
  expect(chunksOfFile).toEqual([
    ['a', true, 5000, 1667, 'v0', 'PLAIN, RLE, RLE_DICTIONARY', true],
    ['col-b', true, 5000, 0, '0', expect.stringContaining('PLAIN'), true],
  ])
  expect(fieldIds.slice(1)).toEqual([
    ['a', 7n],
    ['col-b', 8n],
  ])
})
