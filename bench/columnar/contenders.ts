import { closeSync, openSync, readFileSync, readSync, writeFileSync, writeSync } from 'node:fs'
import type { BatchWriter } from '../../shared/columnar/batch-writer.ts'
import type { Validator } from '../../shared/columnar/validate.ts'
import type { Field, LogicalType } from '../../shared/schema/types.ts'
import type { DataSet } from './data.ts'

/** Reads `input` in the form of the data set and writes `output` as Parquet with snappy, or does less, to compare with. */
export type Run = (set: DataSet, input: string, output: string) => Promise<void> | void

/** Loads the contender's library, and no other's; those that write no file get their input in memory. */
export type Contender = (input: string) => Promise<Run> | Run

const READ_BYTES = 1 << 20

const ours: Contender = async () => {
  const { createBatchWriter } = await import('../../shared/columnar/parquet-writer.ts')
  return (set, input, output) => writeOurs(createBatchWriter(set.schema), set, input, output)
}

function writeOurs(writer: BatchWriter, set: DataSet, input: string, output: string) {
  const from = openSync(input, 'r')
  const to = openSync(output, 'w')
  const chunk = Buffer.alloc(READ_BYTES)
  for (let bytes = readSync(from, chunk); bytes > 0; bytes = readSync(from, chunk)) {
    if (set.format === 'copy') writer.appendCopy(chunk.subarray(0, bytes))
    else writer.append(chunk.subarray(0, bytes))
    for (const part of writer.take()) writeSync(to, part)
  }
  const { rejected } = writer.finish()
  if (rejected) throw new Error(`${rejected} records rejected`)
  for (const part of writer.take()) writeSync(to, part)
  closeSync(from)
  closeSync(to)
}

/** Objects, as a connector holds them: parsed here, so that the text is the same as for the other writers of rows. */
const ourRows: Contender = async () => {
  const { createBatchWriter } = await import('../../shared/columnar/parquet-writer.ts')
  return (set, input, output) => {
    const writer = createBatchWriter(set.schema)
    const parts: Uint8Array[] = []
    let rows: Record<string, unknown>[] = []
    const flush = () => {
      writer.appendRows(rows)
      parts.push(...writer.take())
      rows = []
    }
    for (const line of utf8Lines(readFileSync(input))) if (rows.push(JSON.parse(line)) === 1000) flush()
    flush()
    const { rejected } = writer.finish()
    if (rejected) throw new Error(`${rejected} rows rejected`)
    writeFileSync(output, Buffer.concat([...parts, ...writer.take()]))
  }
}

const validate: Contender = async (input) => {
  const bytes = readFileSync(input)
  const { createValidator } = await import('../../shared/columnar/validate.ts')
  return (set) => validateAll(createValidator(set.schema), bytes)
}

/** In messages of whole records, as push receives them. */
function validateAll(check: Validator, bytes: Buffer) {
  for (let at = 0; at < bytes.length; ) {
    const end = Math.min(bytes.length, bytes.lastIndexOf(10, at + 128 * 1024) + 1)
    const { rejected } = check(bytes.subarray(at, end))
    if (rejected.length) throw new Error('a record was rejected')
    at = end
  }
}

function* utf8Lines(bytes: Buffer): Iterable<string> {
  for (let at = 0; at < bytes.length; ) {
    const end = bytes.indexOf(10, at)
    yield bytes.toString('utf8', at, end)
    at = end + 1
  }
}

const jsonParse: Contender = (input) => {
  const bytes = readFileSync(input)
  return () => {
    for (const line of utf8Lines(bytes)) JSON.parse(line)
  }
}

const memcpy: Contender = (input) => {
  const bytes = readFileSync(input)
  return () => {
    Buffer.from(bytes)
  }
}

function duckType(type: LogicalType): string {
  if (type.kind === 'decimal') return `DECIMAL(${type.precision},${type.scale})`
  if (type.kind === 'array') return `${duckType(type.element)}[]`
  if (type.kind === 'struct') return `STRUCT(${type.fields.map((f) => `"${f.name}" ${duckType(f.type)}`).join(', ')})`
  const names: Record<string, string> = { long: 'BIGINT', string: 'VARCHAR' }
  return names[type.kind] ?? type.kind.toUpperCase()
}

const duckdb: Contender = async () => {
  const { DuckDBInstance } = await import('@duckdb/node-api')
  const connection = await (await DuckDBInstance.create(':memory:', { threads: '1' })).connect()
  return async (set, input, output) => {
    await connection.run(`COPY (FROM ${duckSource(set, input)}) TO '${output}' (FORMAT parquet, COMPRESSION snappy)`)
  }
}

function duckSource(set: DataSet, input: string): string {
  const columns = `{${set.schema.fields.map((f) => `'${f.name}': '${duckType(f.type)}'`).join(', ')}}`
  return set.format === 'copy'
    ? `read_csv('${input}', delim='\t', header=false, quote='', escape='', nullstr='\\N', columns=${columns})`
    : `read_json('${input}', format='newline_delimited', columns=${columns})`
}

/** Values as the JavaScript writers want them. */
function toJs(value: unknown, type: LogicalType): unknown {
  if (value === null || value === undefined) return undefined
  if (type.kind === 'timestamp' || type.kind === 'date') return new Date(value as string)
  if (type.kind === 'long') return BigInt(value as number)
  return value
}

function* rows(set: DataSet, input: string): Iterable<Record<string, unknown>> {
  for (const line of utf8Lines(readFileSync(input))) {
    const record = JSON.parse(line)
    for (const { name, type } of set.schema.fields) record[name] = toJs(record[name], type)
    yield record
  }
}

function parquetJsType({ type, nullable }: Pick<Field, 'type' | 'nullable'>): object {
  const names: Record<string, string> = {
    long: 'INT64',
    integer: 'INT32',
    double: 'DOUBLE',
    decimal: 'DOUBLE',
    boolean: 'BOOLEAN',
    string: 'UTF8',
    date: 'DATE',
    timestamp: 'TIMESTAMP_MILLIS',
  }
  const common = { optional: nullable, compression: 'SNAPPY' }
  if (type.kind === 'array') return { type: names[type.element.kind], repeated: true, compression: 'SNAPPY' }
  if (type.kind === 'struct') return { optional: nullable, fields: parquetJsFields(type.fields) }
  return { type: names[type.kind], ...common }
}

const parquetJsFields = (fields: readonly Field[]) =>
  Object.fromEntries(fields.map((inner) => [inner.name, parquetJsType(inner)]))

interface ParquetJs {
  ParquetSchema: new (fields: object) => object
  ParquetWriter: {
    openFile(schema: object, path: string): Promise<{ appendRow(row: object): Promise<void>; close(): Promise<void> }>
  }
}

const parquetJs =
  (load: () => Promise<{ default: ParquetJs }>): Contender =>
  async () => {
    const library = (await load()).default
    return (set, input, output) => writeParquetJs(library, set, input, output)
  }

async function writeParquetJs(
  { ParquetSchema, ParquetWriter }: ParquetJs,
  set: DataSet,
  input: string,
  output: string,
) {
  const writer = await ParquetWriter.openFile(new ParquetSchema(parquetJsFields(set.schema.fields)), output)
  for (const row of rows(set, input)) await writer.appendRow(row)
  await writer.close()
}

const hyparquetWriter: Contender = async () => {
  const { parquetWriteFile } = await import('hyparquet-writer')
  return async (set, input, output) => {
    const columns = set.schema.fields.map((inner) => ({
      name: inner.name,
      data: [] as unknown[],
      ...hyparquetType(inner),
    }))
    for (const row of rows(set, input)) for (const column of columns) column.data.push(row[column.name] ?? null)
    await parquetWriteFile({ filename: output, columnData: columns as never, codec: 'SNAPPY' })
  }
}

function hyparquetType({ type }: Field): object {
  const names: Record<string, string> = {
    long: 'INT64',
    integer: 'INT32',
    double: 'DOUBLE',
    decimal: 'DOUBLE',
    boolean: 'BOOLEAN',
    string: 'STRING',
    timestamp: 'TIMESTAMP',
    date: 'TIMESTAMP',
  }
  return names[type.kind] ? { type: names[type.kind] } : { type: 'JSON' }
}

const parquetWasm: Contender = async () => {
  const arrow = await import('apache-arrow')
  const wasm = await import('parquet-wasm')
  const { Compression, Table, WriterPropertiesBuilder, writeParquet } = wasm
  const arrowType = (type: LogicalType): import('apache-arrow').DataType => {
    if (type.kind === 'struct')
      return new arrow.Struct(type.fields.map((f) => arrow.Field.new(f.name, arrowType(f.type), f.nullable)))
    if (type.kind === 'array') return new arrow.List(arrow.Field.new('element', arrowType(type.element), true))
    if (type.kind === 'long') return new arrow.Int64()
    if (type.kind === 'integer') return new arrow.Int32()
    if (type.kind === 'double' || type.kind === 'decimal') return new arrow.Float64()
    if (type.kind === 'boolean') return new arrow.Bool()
    if (type.kind === 'timestamp') return new arrow.TimestampMillisecond()
    return type.kind === 'date' ? new arrow.DateDay() : new arrow.Utf8()
  }
  return (set, input, output) => {
    const builders = set.schema.fields.map(({ name, type }) => ({
      name,
      builder: arrow.makeBuilder({ type: arrowType(type), nullValues: [null, undefined] }),
    }))
    for (const row of rows(set, input)) for (const { name, builder } of builders) builder.append(row[name])
    const vectors = Object.fromEntries(builders.map(({ name, builder }) => [name, builder.finish().toVector()]))
    const ipc = arrow.tableToIPC(new arrow.Table(vectors), 'stream')
    const properties = new WriterPropertiesBuilder().setCompression(Compression.SNAPPY).build()
    writeFileSync(output, writeParquet(Table.fromIPCStream(ipc), properties))
  }
}

export const contenders: Record<string, Contender> = {
  ours,
  rows: ourRows,
  validate,
  duckdb,
  'parquet-wasm': parquetWasm,
  'hyparquet-writer': hyparquetWriter,
  '@dsnp/parquetjs': parquetJs(() => import('@dsnp/parquetjs') as never),
  'parquetjs-lite': parquetJs(() => import('parquetjs-lite' as string)),
  'JSON.parse': jsonParse,
  memcpy,
}
