import { expect, test } from '@jest/globals'
import { inferSchema, sampleRecords } from '../../../shared/schema/infer.ts'
import type { LogicalType } from '../../../shared/schema/types.ts'
import { writeFile } from '../../support/columnar.ts'

const typeOf = (...values: unknown[]): LogicalType | undefined =>
  inferSchema(
    values.map((a) => ({ a })),
    { dates: true },
  ).fields[0]?.type

test.each<[unknown[], string]>([
  [[1, null, -5], 'long'],
  [[1, 2.5], 'double'],
  [[2n ** 70n, 1], 'decimal'],
  [[-(10n ** 38n), 2n ** 70n], 'double'],
  [[true, false], 'boolean'],
  [['2024-01-01', '2024-12-31'], 'date'],
  [['2024-01-01T10:00:00Z', '2024-01-01'], 'timestamp'],
  [['2024-13-01'], 'string'],
  [['2024-01-01', 'x'], 'string'],
  [[1, 'x'], 'variant'],
  [[1, true], 'variant'],
  [['2024-01-01', 1], 'variant'],
  [[null], 'string'],
  [[{}], 'variant'],
  [[[]], 'variant'],
  [[1, { x: 1 }], 'variant'],
  [[[1], { x: 1 }], 'variant'],
  [[[1], [2.5]], 'array'],
  [[{ x: 1 }, { y: 'a' }], 'struct'],
])('samples %p are of type %s', (values, kind) => {
  expect(typeOf(...values)?.kind).toBe(kind)
  // Merging does not depend on the order of the samples.
  expect(typeOf(...values.toReversed())?.kind).toBe(kind)
})

test('text is taken for text unless dates are asked for', () => {
  expect(inferSchema([{ a: '2024-01-01' }]).fields[0]?.type).toEqual({ kind: 'string' })
})

test('records are sampled from NDJSON and from arrays, with whole numbers exact', () => {
  const lines = Buffer.from('{"a":9007199254740993}\nnot json\n[{"b":[{"c":1}]}]\n5\n{"a":18446744073709551616}')

  expect(inferSchema(sampleRecords(lines))).toEqual({
    fields: [
      { name: 'a', type: { kind: 'decimal', precision: 38, scale: 0 }, nullable: true },
      {
        name: 'b',
        type: {
          kind: 'array',
          element: { kind: 'struct', fields: [{ name: 'c', type: { kind: 'long' }, nullable: true }] },
          containsNull: true,
        },
        nullable: true,
      },
    ],
  })
})

test('the samples themselves fit the schema inferred from them', () => {
  const records = [
    { id: 1, at: '2024-01-01T00:00:00Z', tags: ['a', null], more: { x: 1.5, y: [] }, mixed: 1, any: 'x' },
    { id: 2 ** 53, at: null, tags: [], more: { z: '2024-02-29' }, mixed: 2.5, any: 1 },
  ]

  const file = writeFile(inferSchema(records, { dates: true }), [
    records.map((record) => JSON.stringify(record)).join('\n'),
  ])

  expect(file.rejections).toEqual([])
  expect(file.rows).toBe(2)
})
