import { join } from 'node:path'
import { afterAll, expect, test } from '@jest/globals'
import { commit } from '../../../shared/delta/commit.ts'
import { writeDeletionVectors } from '../../../shared/delta/deletion-vector.ts'
import { encodePath, fileKey } from '../../../shared/delta/file-path.ts'
import type { TableSnapshot } from '../../../shared/delta/table.ts'
import { openEngine } from '../../../shared/load/engine.ts'
import { type ReadTableOptions, readTableSql } from '../../../shared/load/read-table.ts'
import { parseTypeText } from '../../../shared/schema/type-text.ts'
import type { Field } from '../../../shared/schema/types.ts'
import { diskStorage } from '../../../shared/storage/disk.ts'
import { committed, emptyTable, logEntry, testPorts } from '../../support/delta.ts'
import { temporaryFolder } from '../../support/temporary-folder.ts'

const { folder, remove } = await temporaryFolder()
const engine = await openEngine({ scratch: join(folder, 'scratch') })
const ports = testPorts(diskStorage(folder))
let tables = 0

afterAll(async () => {
  engine.close()
  await remove()
})

const field = (name: string, type: string, more: Partial<Field> = {}): Field => ({
  name,
  type: parseTypeText(type),
  nullable: true,
  ...more,
})

/** A table with one file a SELECT, each written by the engine. */
async function tableOf(
  fields: readonly Field[],
  files: readonly { select: string; name?: string; copy?: string; partitionValues?: Record<string, string | null> }[],
  options: { partitionColumns?: string[]; columnMapping?: boolean; properties?: Record<string, string> } = {},
): Promise<TableSnapshot> {
  const root = `table-${++tables}`
  const table = await emptyTable(ports, { root, schema: { fields }, ...options })
  const add = []
  for (const [index, { select, name = `${index}.parquet`, copy = '', partitionValues = {} }] of files.entries()) {
    await engine.session(({ run }) => run(`copy (${select}) to '${join(folder, root, name)}' (format parquet${copy})`))
    add.push(logEntry(encodePath(name), { partitionValues }))
  }
  return committed(await commit(table, { operation: 'WRITE', add, reads: 'nothing' }, ports))
}

const read = (table: TableSnapshot, options?: ReadTableOptions) =>
  engine.session(async (session) => session.rows(await readTableSql(session, ports.storage, table, options)))

test('a column that a file does not have is null, a wider type is cast, and names ignore case', async () => {
  const table = await tableOf(
    [field('id', 'long'), field('name', 'string'), field('price', 'decimal(12,4)')],
    [
      { select: 'select 1::tinyint as ID, 1.5::decimal(4,2) as price' },
      { select: "select 3::int as id, 'c' as name, 3.125::decimal(12,4) as price" },
      { select: "select (2::bigint ** 40)::bigint as id, 'b' as name, 2.25::decimal(12,4) as price" },
    ],
  )

  expect(await read(table)).toEqual([
    { id: 1n, name: null, price: 1.5 },
    { id: 3n, name: 'c', price: 3.125 },
    { id: 2n ** 40n, name: 'b', price: 2.25 },
  ])
})

test('structs, lists and maps grow with the table, also inside one another', async () => {
  const table = await tableOf(
    [
      field('a', 'struct<x:long,new:string,list:array<struct<y:long,z:string>>>'),
      field('m', 'map<string,struct<v:long,w:long>>'),
    ],
    [
      { select: "select {x: 1, list: [{y: 2}, null]} as a, map {'k': {v: 3}} as m" },
      { select: 'select null::struct(x int) as a, null::map(varchar, struct(v int)) as m' },
    ],
  )

  expect(await read(table)).toEqual([
    {
      a: { x: 1n, new: null, list: [{ y: 2n, z: null }, null] },
      m: [{ key: 'k', value: { v: 3n, w: null } }],
    },
    { a: null, m: null },
  ])
})

test('partition values are columns of their types, empty and null are null, and odd paths are found', async () => {
  const at = (day: string | null, kind: string) => ({ day, kind })
  const table = await tableOf(
    [field('id', 'long'), field('day', 'date'), field('kind', 'string')],
    [
      { select: 'select 1 as id', name: 'a [x]*?.parquet', partitionValues: at('2026-01-02', 'it\'s "=%') },
      { select: "select 2 as id, 'in the file' as kind", name: 'b%20 #.parquet', partitionValues: at(null, '') },
    ],
    { partitionColumns: ['day', 'kind'] },
  )

  expect(await read(table)).toEqual([
    { id: 1n, day: new Date('2026-01-02'), kind: 'it\'s "=%' },
    { id: 2n, day: null, kind: null },
  ])
})

test('columns are found by physical name, and by id where the table says so', async () => {
  const mapped = [field('new name', 'long', { id: 1, physicalName: 'col-1' })]
  const select = 'select 7::bigint as "col-1", 8::bigint as "new name"'
  const byName = await tableOf(mapped, [{ select }], { columnMapping: true })
  const byId = await tableOf(mapped, [{ select, copy: ', field_ids {"col-1": 9, "new name": 1}' }, { select }], {
    columnMapping: true,
  })
  const configuration = { ...byId.metadata.configuration, 'delta.columnMapping.mode': 'id' }

  expect(await read(byName)).toEqual([{ 'new name': 7n }])
  expect(await read({ ...byId, metadata: { ...byId.metadata, configuration } })).toEqual([
    { 'new name': 8n },
    { 'new name': null },
  ])
})

test.each([5, 3000])('%i rows of a deletion vector are left out', async (count) => {
  const select = 'select range as id from range(10000)'
  const table = await tableOf([field('id', 'long')], [{ select }, { select }], {
    properties: { 'delta.enableDeletionVectors': 'true' },
  })
  const [file] = [...table.files.values()]
  const rows = Array.from({ length: count }, (_, index) => index * 3)
  const [deletionVector] = await writeDeletionVectors(ports.storage, table.root, [rows], ports.random)
  const change = { operation: 'DELETE', remove: [file!], add: [{ ...file!, deletionVector: deletionVector! }] }
  const after = committed(await commit(table, { ...change, reads: 'table' }, ports))

  const ids = (await read(after)).map(({ id }) => Number(id))

  expect(ids).toHaveLength(20_000 - count)
  expect(ids.filter((id) => id % 3 === 0 && id < count * 3)).toHaveLength(count)
})

test('rows come with their place in the table where asked', async () => {
  const select = 'select range as id from range(2)'
  const table = await tableOf([field('id', 'long')], [{ select }, { select }])
  const [, second] = [...table.files.values()]

  expect(await read(table, { files: [second!], positions: true })).toEqual([
    { id: 0n, __file: fileKey(second!), __row: 0n },
    { id: 1n, __file: fileKey(second!), __row: 1n },
  ])
})

test('a table without files has its columns', async () => {
  const table = await tableOf([field('id', 'long'), field('tags', 'array<string>')], [])

  const columns = await engine.session(async (session) =>
    session.rows(`describe ${await readTableSql(session, ports.storage, table)}`),
  )

  expect(columns.map((column) => [column.column_name, column.column_type])).toEqual([
    ['id', 'BIGINT'],
    ['tags', 'VARCHAR[]'],
  ])
})

test('a missing data file is named', async () => {
  const table = await tableOf([field('id', 'long')], [{ select: 'select 1 as id' }])
  await ports.storage.delete([`${table.root}/0.parquet`])

  await expect(read(table)).rejects.toMatchObject({
    code: 'table.corrupt',
    message: expect.stringContaining('0.parquet'),
  })
})

test.each([
  ['a file of the old calendar', "'1500-03-01'::date", 'org.apache.spark.legacyDateTime', '', true],
  ['one in which nested dates may be old', "['2020-01-01'::date]", 'org.apache.spark.legacyINT96', '', true],
  ['a file of an old Spark', "'1500-03-01'::date", 'org.apache.spark.version', '2.4.8', true],
  ['a file of a later Spark', "'1500-03-01'::date", 'org.apache.spark.version', '3.5.0', false],
])('%s is refused only where its dates would be read wrong', async (_, value, key, mark, refused) => {
  const type = value.startsWith('[') ? 'array<date>' : 'date'
  const copy = `, kv_metadata {'${key}': '${mark}'}`
  const table = await tableOf([field('d', type)], [{ select: `select ${value} as d`, copy }])

  const rows = read(table)

  if (refused) {
    await expect(rows).rejects.toMatchObject({
      code: 'table.unsupported_feature',
      message: expect.stringContaining('the data file 0.parquet of the table'),
    })
  } else expect(await rows).toHaveLength(1)
})

test('text is its bytes in a binary column, whatever it looks like, and bytes are text in a string column', async () => {
  const table = await tableOf(
    [field('b', 'binary'), field('list', 'array<binary>'), field('s', 'string')],
    [{ select: String.raw`select 'a\x41é' as b, ['\x42'] as list, encode('\x43') as s` }],
  )

  const [row] = await read(table)

  expect(Buffer.from(row!.b as Uint8Array).toString()).toBe(String.raw`a\x41é`)
  expect(Buffer.from((row!.list as Uint8Array[])[0]!).toString()).toBe(String.raw`\x42`)
  expect(row!.s).toBe(String.raw`\x43`)
})

test.each([
  ['text where a number is wanted', "'1'", 'long'],
  ['a number where a struct is wanted', '1', 'struct<x:long>'],
  ['a number where a date is wanted', '1', 'date'],
  ['a list where text is wanted', "['a']", 'string'],
  ['a number that is too large', '4000000000::bigint', 'integer'],
])('%s is refused and not made to fit', async (_, value, type) => {
  const table = await tableOf([field('a', type)], [{ select: `select ${value} as a` }])

  const error = await read(table).catch((thrown) => thrown)

  expect(error).toMatchObject({ code: 'table.corrupt', message: expect.stringMatching(/data file .* column a/) })
  expect(error.message).not.toContain('4000000000')
})

test("columns of a file may have the engine's own names", async () => {
  const table = await tableOf(
    [field('file_row_number', 'long'), field('filename', 'long'), field('day', 'date')],
    [{ select: 'select 1 as file_row_number, 2 as filename', partitionValues: { day: '2026-01-02' } }],
    { partitionColumns: ['day'] },
  )

  const row = { file_row_number: 1n, filename: 2n, day: new Date('2026-01-02') }
  expect(await read(table)).toEqual([row])
  expect(await read(table, { positions: true })).toEqual([{ ...row, __file: '0.parquet', __row: 0n }])
})

test('a binary value is found in a file with a Bloom filter', async () => {
  const table = await tableOf(
    [field('b', 'binary')],
    [{ select: 'select unhex(md5(i::varchar)) as b from range(100) r(i)', copy: ', dictionary_size_limit 4096' }],
  )

  const found = await engine.session(async (session) =>
    session.rows(`from (${await readTableSql(session, ports.storage, table)}) where b = unhex(md5('5'))`),
  )

  expect(found).toHaveLength(1)
})

/** A table whose protocol has variants, which are only read here. */
async function variantsOf(select: string): Promise<TableSnapshot> {
  const table = await tableOf([field('v', 'variant')], [{ select }])
  const protocol = { minReaderVersion: 3, minWriterVersion: 7, readerFeatures: ['variantType'], writerFeatures: [] }
  return { ...table, protocol }
}

test('a variant is JSON text, from bytes and from a column marked as one', async () => {
  // Parquet, "Variant Binary Encoding": {"a":[1,null]}, and 12.34.
  const object = String.raw`{metadata: '\x11\x01\x00\x01a'::blob, value: '\x02\x01\x00\x00\x08\x03\x02\x00\x02\x03\x0C\x01\x00'::blob}`
  const decimal = String.raw`{metadata: '\x11\x00\x00'::blob, value: '\x20\x02\xD2\x04\x00\x00'::blob}`
  const bytes = await variantsOf(`select unnest([${object}, ${decimal}, null]) as v`)
  const marked = await variantsOf(
    `select '{"a":[1,null]}'::json::variant as v union all select 12.34::variant union all select null`,
  )

  for (const table of [bytes, marked]) {
    const texts = (await read(table)).map(({ v }) => v)
    expect(texts).toHaveLength(3)
    expect(new Set(texts)).toEqual(new Set(['{"a":[1,null]}', '12.34', null]))
  }
})

test('a variant in parts that is not marked is refused', async () => {
  const table = await variantsOf(`select {metadata: ''::blob, value: null::blob, typed_value: 1} as v`)

  await expect(read(table)).rejects.toMatchObject({
    code: 'table.unsupported_feature',
    message: expect.stringContaining('without shredding'),
  })
})
