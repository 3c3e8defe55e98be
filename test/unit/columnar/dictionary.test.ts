import { expect, test } from '@jest/globals'
import { acquireKernel, releaseKernel } from '../../../shared/columnar/kernel.ts'
import { createBatchWriter } from '../../../shared/columnar/parquet-writer.ts'
import type { Schema } from '../../../shared/schema/types.ts'
import { queryFile, readDuckdb, writeFile } from '../../support/columnar.ts'

const schema: Schema = {
  fields: [
    { name: 's', type: { kind: 'string' }, nullable: true },
    { name: 'n', type: { kind: 'long' }, nullable: true },
    { name: 'i', type: { kind: 'integer' }, nullable: false },
    { name: 'f', type: { kind: 'float' }, nullable: true },
  ],
}

/** Few values up to row `turn`, then a new one in each row. */
const record = (turn: number) => (row: number) => {
  const value = row < turn ? row % 7 : row
  return row % 11 === 3
    ? { s: null, n: null, i: value, f: null }
    : { s: `text ${value}`, n: value * 3_000_000_000, i: value, f: value / 4 }
}

const lines = (rows: readonly object[]) => rows.map((row) => JSON.stringify(row)).join('\n')
const plain = (rows: readonly ReturnType<ReturnType<typeof record>>[]) =>
  rows.map(({ s, n, i, f }) => [s, n === null ? null : BigInt(n), BigInt(i), f])

// 32,768 rows end a page; 2,048 and 16,384 entries are the trials of a dictionary.
test.each([0, 2048, 32_768])(
  'a column whose values become all new at row %i keeps them, with a dictionary before and without one after',
  async (turn) => {
    const rows = Array.from({ length: 36_000 }, (_, row) => record(turn)(row))

    const { bytes } = writeFile(schema, [lines(rows)])

    expect(String(await readDuckdb(schema, bytes))).toBe(String(plain(rows)))
    const [[encodings, nulls]] = (await queryFile(
      bytes,
      `SELECT encodings, stats_null_count FROM parquet_metadata(FILE) WHERE path_in_schema = 's'`,
    )) as [[string, bigint]]
    expect(encodings.includes('RLE_DICTIONARY')).toBe(turn >= 32_768)
    expect(Number(nulls)).toBe(rows.filter(({ s }) => s === null).length)
  },
)

test('a dictionary serves every row group anew', async () => {
  const rows = Array.from({ length: 20_000 }, (_, row) => record(1e9)(row))

  const { bytes } = writeFile(schema, [lines(rows)], { rowGroupBytes: 30_000, pageBytes: 20_000 })

  expect(String(await readDuckdb(schema, bytes))).toBe(String(plain(rows)))
  const groups = await queryFile(
    bytes,
    `SELECT DISTINCT row_group_id FROM parquet_metadata(FILE) WHERE encodings LIKE '%RLE_DICTIONARY%'`,
  )
  expect(groups.length).toBeGreaterThan(3)
})

test('strings of every length up to 200, and ones that differ in their last byte, keep their entries apart', async () => {
  const texts = Array.from({ length: 201 }, (_, n) => ['a', 'b', 'é'].map((end) => 'x'.repeat(n) + end)).flat()
  const rows = [...texts, ...texts.toReversed(), '', '', 'x'].map((s) => ({ s, i: 0 }))

  const { bytes } = writeFile(schema, [lines(rows)])

  expect((await readDuckdb(schema, bytes)).map(([s]) => s)).toEqual(rows.map(({ s }) => s))
})

test('many columns that fill no page still end a row group at its size', () => {
  const wide: Schema = {
    fields: Array.from({ length: 100 }, (_, i) => ({ name: `c${i}`, type: { kind: 'string' }, nullable: true })),
  }
  const row = JSON.stringify(
    Object.fromEntries(wide.fields.map(({ name }) => [name, 'a value of thirty characters..'])),
  )
  const writer = createBatchWriter(wide, { rowGroupBytes: 4 << 20 })

  let most = 0
  for (let i = 0; i < 200; i++) {
    writer.append(Buffer.from(`${row}\n`.repeat(100)))
    most = Math.max(most, writer.bufferedBytes)
  }

  writer.finish()
  // 4,096 rows of 3.4 kB pass between two looks.
  expect(most).toBeLessThan(20 << 20)
})

test('addresses beyond 2 GiB are addresses like all others', async () => {
  const kernel = acquireKernel()
  const { open } = kernel
  let moved = 0
  kernel.open = (...options) => {
    open(...options)
    kernel.alloc(0x7fff0000)
    moved++
  }
  // The next writer takes it, and finds the first 2 GiB used up.
  releaseKernel(kernel)
  const rows = Array.from({ length: 10_000 }, (_, row) => record(5_000)(row))

  const { bytes, rejections } = writeFile(schema, [`${lines(rows)}\n{"i":1.5}\n{"i":1,"i":2}\n{"zz":1}`])

  kernel.open = open
  expect(moved).toBe(1)
  expect(kernel.inputAt()).toBeLessThan(0)
  expect(String((await readDuckdb(schema, bytes)).slice(0, -1))).toBe(String(plain(rows)))
  const start = lines(rows).length + 1
  expect(rejections).toMatchObject([
    { record: 10_000, start, end: start + 9, column: 'i', code: 'wrong_type' },
    { record: 10_002, start: start + 24, end: start + 32, column: 'i', code: 'missing' },
  ])
})

test('a limit of records that memory cannot hold is refused', () => {
  expect(() => createBatchWriter(schema, { maxRecordBytes: 2 ** 31 })).toThrow('from 1 to 268435456')
  expect(() => createBatchWriter(schema, { maxRecordBytes: 0 })).toThrow('maxRecordBytes is 0')
})
