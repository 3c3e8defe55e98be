import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from '@jest/globals'
import { type Engine, openEngine } from '../../../shared/load/engine.ts'
import { fieldIds, literal, quoted, sqlType } from '../../../shared/load/sql.ts'
import type { Field } from '../../../shared/schema/types.ts'

const scratch = mkdtempSync(join(tmpdir(), 'engine-'))
const engine: Engine = await openEngine({ scratch, memoryMb: 64, threads: 1 })
afterAll(() => {
  engine.close()
  rmSync(scratch, { recursive: true })
})

test('a session sees its own temporary tables and leaves nothing behind', async () => {
  await engine.session((session) => session.run('create temp table t as select 1 x'))

  const tables = await engine.session((session) => session.rows('select * from duckdb_tables()'))

  expect(tables).toEqual([])
  expect(readdirSync(scratch).filter((name) => name.startsWith('session-'))).toEqual([])
})

test('a work that needs too much memory is an error with a remedy', async () => {
  const work = engine.session((session) =>
    session.rows("select list(i::varchar || repeat('x', 100)) from range(10000000) r(i)"),
  )

  await expect(work).rejects.toMatchObject({ code: 'engine.out_of_memory', remedy: 'fix' })
})

test('a damaged data file is named', async () => {
  const rows = engine.session(async (session) => {
    const file = join(session.folder, 'x.parquet')
    await session.run(`copy (select md5(range::varchar) x from range(1000)) to ${literal(file)} (format parquet)`)
    writeFileSync(file, readFileSync(file).fill(0xff, 100, 1000))
    return session.rows(`select max(x) from read_parquet(${literal(file)})`)
  })

  await expect(rows).rejects.toMatchObject({ code: 'table.corrupt', message: expect.stringContaining('x.parquet') })
})

test('names and texts with quotes stay one name and one text', async () => {
  const rows = await engine.session((session) => session.rows(`select ${literal("it's")} ${quoted('a "b" c')}`))

  expect(rows).toEqual([{ 'a "b" c': "it's" }])
})

test('field ids and physical names of nested columns reach the Parquet file', async () => {
  const int: Field['type'] = { kind: 'integer' }
  const inner: Field = { name: 'x', type: int, nullable: true, id: 4, physicalName: 'col-4' }
  const fields: Field[] = [
    { name: 'id', type: { kind: 'long' }, nullable: false, id: 1 },
    { name: 's', type: { kind: 'struct', fields: [inner] }, nullable: true, id: 2 },
    {
      name: 'l',
      type: { kind: 'array', element: { kind: 'struct', fields: [{ ...inner, id: 5 }] }, containsNull: true },
      nullable: true,
      id: 3,
    },
    { name: 'm', type: { kind: 'map', key: { kind: 'string' }, value: int, valueContainsNull: true }, nullable: true },
  ]

  const schema = await engine.session(async (session) => {
    const file = join(session.folder, 'x.parquet')
    const columns = fields.map((field) => `null::${sqlType(field.type)} ${quoted(field.name)}`)
    await session.run(`copy (select ${columns}) to ${literal(file)} (format parquet, field_ids ${fieldIds(fields)})`)
    return session.rows(`select name, field_id from parquet_schema(${literal(file)}) where field_id is not null`)
  })

  expect(schema.map((row) => [row.name, Number(row.field_id)])).toEqual([
    ['id', 1],
    ['s', 2],
    ['col-4', 4],
    ['l', 3],
    ['col-4', 5],
  ])
})
