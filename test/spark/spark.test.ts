import { join } from 'node:path'
import { afterAll, expect, test } from '@jest/globals'
import { commit } from '../../shared/delta/commit.ts'
import { addColumns, dropColumn, type Evolution, renameColumn } from '../../shared/delta/evolve.ts'
import { readSnapshot } from '../../shared/delta/snapshot.ts'
import { openEngine, type Session } from '../../shared/load/engine.ts'
import { historySchema } from '../../shared/load/history-columns.ts'
import type { MergeSpec } from '../../shared/load/merge.ts'
import { changeFeedSql } from '../../shared/load/read-change-feed.ts'
import { readTableSql } from '../../shared/load/read-table.ts'
import { diskStorage } from '../../shared/storage/disk.ts'
import { difference } from '../interop/delta-rs.ts'
import { column, committed, dataFile, emptyTable, testPorts } from '../support/delta.ts'
import { gone, mergeTable, put, schemaOf } from '../support/merge-table.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { startSpark } from './spark.ts'

/** Spark, whose Delta Lake is the one the format comes from, reads what we write, and we go on after what it writes. */

const { folder, remove } = await temporaryFolder()
const engine = await openEngine({ scratch: join(folder, 'scratch') })
const storage = diskStorage(folder)
// A clock of now: Spark keeps versions by their age.
const ports = testPorts(storage, 1, Date.now() - 3_600_000)
const spark = startSpark()
afterAll(async () => {
  await spark.close()
  engine.close()
  await remove()
})

const at = (root: string) => `delta.\`${join(folder, root)}\``
let outputs = 0

/** Both of us have the same rows: a data frame of Spark, and a SELECT of ours. */
async function same(frame: string, ours: (session: Session) => Promise<string | undefined>) {
  const out = join(folder, `theirs${++outputs}`)
  await spark.run(`${frame}.coalesce(1).write.parquet(${JSON.stringify(out)})`)
  await engine.session(async (session) => {
    expect(await difference(session, (await ours(session))!, `${out}/*.parquet`)).toEqual([0, 0])
  })
}

/** Spark's newest version of the table is ours, with our rows. */
async function agreed(root: string) {
  const snapshot = (await readSnapshot(storage, root))!
  const [newest] = (await spark.run(`result = rows("describe history ${at(root)} limit 1")`)) as { version: number }[]
  expect(newest!.version).toBe(snapshot.version)
  await same(`spark.sql("select * from ${at(root)}")`, (session) => readTableSql(session, storage, snapshot))
}

const types = {
  id: 'long',
  b: 'boolean',
  i8: 'byte',
  i16: 'short',
  i32: 'integer',
  f: 'float',
  d: 'double',
  s: 'string',
  bin: 'binary',
  day: 'date',
  at: 'timestamp',
  local: 'timestamp_ntz',
  small: 'decimal(9,2)',
  big: 'decimal(38,18)',
  list: 'array<string>',
  map: 'map<string,long>',
  nested: 'struct<x:long,y:array<struct<z:string>>>',
}
const row = (id: number) => ({
  id,
  b: id % 2 === 0,
  i8: -id,
  i16: 300 + id,
  i32: 70_000 * id,
  f: 1.5 * id,
  d: id / 3,
  s: `ünï ${id}`,
  bin: new Uint8Array([id, 255, 0]),
  day: '1969-12-31',
  at: `2026-01-01T00:00:00.12345${id % 10}Z`,
  local: '1969-12-31T23:59:59.999999',
  small: `-${id}.05`,
  big: `12345678901234567890.${String(id).padStart(18, '0')}`,
  list: ['a', null, `${id}`],
  map: { k: id, n: null },
  nested: { x: id, y: [{ z: 'deep' }, null] },
})

test('every type, partitions, a checkpoint, and columns that were added, renamed, dropped and made again', async () => {
  const root = 'types'
  let table = await emptyTable(ports, { root, schema: schemaOf(types), partitionColumns: ['day'] })
  const evolve = async ({ schema: _, ...change }: Evolution) => {
    table = committed(await commit(table, { operation: 'WRITE', reads: 'table', ...change }, ports))
  }
  const append = async (rows: object[], values: Record<string, string | null>) =>
    evolve({ schema: table.schema, add: [await dataFile(table, rows as never, ports, values)] } as never)
  for (let id = 1; id <= 11; id++) {
    const { day, ...rest } = row(id)
    await append([rest, { id: id + 100 }], { day: id % 3 === 0 ? null : day })
  }
  await agreed(root)

  await evolve(renameColumn(table, 's', 'title'))
  await evolve(dropColumn(table, 'd'))
  await evolve(addColumns(table, [column('d', 'string')], ports.random)!)
  await append([{ id: 500, title: 'new', d: 'text', nested: { x: 1, y: [] } }], { day: '2026-05-05' })

  await agreed(root)
})

const properties = { 'delta.enableDeletionVectors': 'true', 'delta.enableChangeDataFeed': 'true' }
const upsert: MergeSpec = { mode: 'SCD_TYPE_1', keys: ['id'], sequenceBy: ['seq'] }
const columns = schemaOf({ id: 'long', seq: 'long', small: 'short', name: 'string' })
const merges = (root: string, options: { properties?: Record<string, string> } = {}) =>
  mergeTable(root, columns, { storage, engine, clock: ports.clock, ...options })
const rows = (from: number, to: number, seq: number) =>
  Array.from({ length: to - from }, (_, n) => put({ id: from + n, seq, small: n, name: `name ${n}` }))

test.each([{}, properties])('merges and their change data feed, with %j', async (more) => {
  const root = `merged${Object.keys(more).length}`
  const table = await merges(root, { properties: { ...more, 'delta.enableChangeDataFeed': 'true' } })

  await table.apply(rows(0, 2000, 1), upsert)
  await table.apply([...rows(500, 700, 2), gone({ id: 3, seq: 2 }), gone({ id: 900, seq: 2 })], upsert)
  await table.apply([...rows(1990, 2010, 3), gone({ id: 4, seq: 1 })], upsert)

  await agreed(root)
  const names = ['id', 'seq', 'small', 'name', '_change_type', '_commit_version']
  const feed = `spark.read.format("delta").option("readChangeFeed", "true").option("startingVersion", 1)`
  await same(
    `${feed}.load(${JSON.stringify(join(folder, root))}).select(${JSON.stringify(names)})`,
    async (session) => `select ${names} from (${await changeFeedSql(session, storage, root, 1)})`,
  )
})

test('a history', async () => {
  const table = await mergeTable('history', historySchema(columns, ['seq']), { storage, engine, clock: ports.clock })
  const history: MergeSpec = { ...upsert, mode: 'SCD_TYPE_2' }

  await table.apply(rows(0, 100, 1), history)
  await table.apply([...rows(50, 60, 5), ...rows(55, 57, 3), gone({ id: 3, seq: 4 })], history)

  await agreed('history')
})

/** What Spark does to a table of ours that holds the ids 0 to 99. */
const theirs: [string, string[]][] = [
  ['optimises it', ['optimize T']],
  ['clusters it', ['alter table T cluster by (id)', 'optimize T']],
  ['changes rows', ["update T set name = 'spark' where id = 7", 'delete from T where id in (8, 9)']],
  [
    'changes rows by deletion vectors',
    [
      "alter table T set tblproperties ('delta.enableDeletionVectors' = 'true')",
      "update T set name = 'spark' where id = 7",
      'delete from T where id in (8, 9)',
    ],
  ],
  [
    'checkpoints it by the second version of that format',
    [
      "alter table T set tblproperties ('delta.checkpointPolicy' = 'v2', 'delta.checkpointInterval' = '1')",
      'delete from T where id in (8, 9)',
    ],
  ],
  [
    'renames and drops columns',
    [
      "alter table T set tblproperties ('delta.columnMapping.mode' = 'name')",
      'alter table T drop column small',
      'alter table T rename column name to small',
      'alter table T add column name string',
    ],
  ],
  [
    'widens a type',
    [
      "alter table T set tblproperties ('delta.enableTypeWidening' = 'true')",
      'alter table T alter column small type int',
    ],
  ],
  ['keeps the time of commits', ["alter table T set tblproperties ('delta.enableInCommitTimestamps' = 'true')"]],
  ['deletes old files', ['optimize T', 'vacuum T']],
]

test.each(theirs)('merges go on after Spark %s', async (what, statements) => {
  const root = what.replaceAll(' ', '_')
  const table = await merges(root)
  await table.apply(rows(0, 100, 1), upsert)
  await spark.sql(...statements.map((statement) => statement.replace(/\bT\b/, at(root))))
  await agreed(root)

  const { schema } = await table.snapshot()
  const isText = schema.fields.find(({ name }) => name === 'small')!.type.kind === 'string'
  const more = rows(90, 110, 2).map(({ row }) => put({ ...row, small: isText ? 'text' : row.small }))
  await (await merges(root)).apply([...more, gone({ id: 3, seq: 2 })], upsert)

  await agreed(root)
  const ids = (await table.rows('id')).map(({ id }) => id)
  const deleted = statements.some((statement) => statement.startsWith('delete')) ? [3, 8, 9] : [3]
  expect(ids).toEqual(Array.from({ length: 110 }, (_, id) => id).filter((id) => !deleted.includes(id)))
})

test.each([
  ['rowTracking', "alter table T set tblproperties ('delta.enableRowTracking' = 'true')"],
  ['checkConstraints', 'alter table T add constraint positive check (id >= 0)'],
])('a table in which Spark switched %s on is read, and not written', async (feature, statement) => {
  const table = await merges(feature)
  await table.apply(rows(0, 10, 1), upsert)
  await spark.sql(statement.replace(/\bT\b/, at(feature)))

  await agreed(feature)
  await expect(table.apply(rows(0, 10, 2), upsert)).rejects.toMatchObject({
    code: 'table.unsupported_feature',
    message: expect.stringContaining(feature),
  })
})
