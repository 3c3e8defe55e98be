import { rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync, zstdDecompressSync } from 'node:zlib'
import {
  DuckDBBlobValue,
  DuckDBDateValue,
  DuckDBDecimalValue,
  DuckDBInstance,
  DuckDBListValue,
  DuckDBMapValue,
  DuckDBStructValue,
  DuckDBTimestampTZValue,
  DuckDBTimestampValue,
} from '@duckdb/node-api'
import { parquetReadObjects } from 'hyparquet'
import type { BatchOptions } from '../../shared/columnar/batch-writer.ts'
import { createBatchWriter } from '../../shared/columnar/parquet-writer.ts'
import type { LogicalType, Schema } from '../../shared/schema/types.ts'

/** More runs of the long tests: `npm run soak` sets it. */
export const soak = Number(process.env.SOAK ?? 1)

/** A file of these chunks, through the format's own method. */
export function writeFile(
  schema: Schema,
  chunks: readonly (string | Uint8Array)[],
  options: BatchOptions = {},
  format: 'append' | 'appendCopy' | 'appendCsv' = 'append',
) {
  const writer = createBatchWriter(schema, options)
  const parts: Uint8Array[] = []
  for (const chunk of chunks) {
    writer[format](typeof chunk === 'string' ? Buffer.from(chunk) : chunk)
    parts.push(...writer.take())
  }
  const file = writer.finish()
  parts.push(...writer.take())
  return { ...file, rejections: writer.takeRejected(), bytes: Buffer.concat(parts) }
}

/**
 * A value as both readers give it, made comparable: bigint for integers, days, microseconds and unscaled decimals;
 * hexadecimal text for binary; arrays for lists, for the fields of a struct, and for the pairs of a map.
 */
export type Plain = null | boolean | bigint | number | string | Plain[]

/** The rows as hyparquet reads them. It gives decimals as doubles, so they are left out. */
export async function readHyparquet(schema: Schema, bytes: Uint8Array): Promise<Plain[][]> {
  const rows = await parquetReadObjects({
    file: new Uint8Array(bytes).buffer,
    utf8: false,
    compressors: { ZSTD: (bytes) => zstdDecompressSync(bytes), GZIP: (bytes) => gunzipSync(bytes) },
    parsers: {
      timestampFromMilliseconds: (v: bigint) => v,
      timestampFromMicroseconds: (v: bigint) => v,
      timestampFromNanoseconds: (v: bigint) => v,
      dateFromDays: (v: number) => BigInt(v),
      stringFromBytes: (v: Uint8Array) => v && Buffer.from(v).toString(),
    } as never,
  })
  return rows.map((row) => schema.fields.map(({ name, type }) => plainHyparquet(row[name], type)))
}

function plainHyparquet(value: unknown, type: LogicalType): Plain {
  if (value === null || value === undefined) return null
  switch (type.kind) {
    case 'struct':
      return type.fields.map((field) => plainHyparquet((value as Record<string, unknown>)[field.name], field.type))
    case 'array':
      return (value as unknown[]).map((element) => plainHyparquet(element, type.element))
    case 'map':
      return Object.entries(value).map(([key, inner]) => [key, plainHyparquet(inner, type.value)])
    case 'decimal':
      return null
    case 'binary':
      return Buffer.from(value as Uint8Array).toString('hex')
    case 'byte':
    case 'short':
    case 'integer':
      return BigInt(value as number)
    default:
      return value as Plain
  }
}

const duckdb = DuckDBInstance.create().then((instance) => instance.connect())

/** What DuckDB says of the file: rows of `sql`, in which `FILE` stands for its path. */
export async function queryFile(bytes: Uint8Array, sql: string) {
  const path = join(tmpdir(), `columnar-${process.pid}-${Math.random().toString(36).slice(2)}.parquet`)
  writeFileSync(path, bytes)
  try {
    return (await (await duckdb).runAndReadAll(sql.replaceAll('FILE', `'${path}'`))).getRows()
  } finally {
    rmSync(path)
  }
}

/** The rows as DuckDB reads them. */
export async function readDuckdb(schema: Schema, bytes: Uint8Array): Promise<Plain[][]> {
  return (await queryFile(bytes, 'FROM FILE')).map((row) =>
    row.map((value, i) => plainDuckdb(value, schema.fields[i]!.type)),
  )
}

function plainDuckdb(value: unknown, type: LogicalType): Plain {
  if (value instanceof DuckDBListValue && type.kind === 'array') {
    return value.items.map((item) => plainDuckdb(item, type.element))
  }
  if (value instanceof DuckDBStructValue && type.kind === 'struct') {
    return Object.values(value.entries).map((inner, i) => plainDuckdb(inner, type.fields[i]!.type))
  }
  if (value instanceof DuckDBMapValue && type.kind === 'map') {
    return value.entries.map(({ key, value: inner }) => [plainDuckdb(key, type.key), plainDuckdb(inner, type.value)])
  }
  if (value instanceof DuckDBBlobValue) return Buffer.from(value.bytes).toString('hex')
  if (value instanceof DuckDBDateValue) return BigInt(value.days)
  if (value instanceof DuckDBTimestampValue || value instanceof DuckDBTimestampTZValue) return value.micros
  if (value instanceof DuckDBDecimalValue) return value.value
  const small = type.kind === 'byte' || type.kind === 'short' || type.kind === 'integer'
  return small && value !== null ? BigInt(value as number) : (value as Plain)
}
