import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import type { Run } from '../../shared/state/runs.ts'
import type { SyncProgress } from '../../shared/sync/progress.ts'
import { startChild } from '../support/child.ts'
import { createDatabase, type TestDatabase } from '../support/postgres.ts'
import { compareSync, runSync, type SourceSync } from '../support/source-sync.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

let database: TestDatabase
let lakehouse: Awaited<ReturnType<typeof temporaryFolder>>

beforeEach(async () => {
  database = await createDatabase()
  lakehouse = await temporaryFolder()
})
afterEach(async () => {
  await lakehouse.remove()
  await database[Symbol.asyncDispose]()
})

const names = ['captured', 'queried', 'whole'] as const

/** Three tables of one shape, one of each way of reading. */
async function shop(schema_drift: object = {}, rows = 300): Promise<SourceSync> {
  for (const name of names)
    await database.query(`
      create table ${name} (id int primary key, v int, price numeric(8,2), day date, doc text, changed timestamptz not null default clock_timestamp());
      alter table ${name} alter doc set storage external;
      insert into ${name} select n, n % 7, n * 1.01, date '2020-01-01' + n, repeat(md5(n::text), case when n % 50 = 0 then 300 else 1 end) from generate_series(1, ${rows}) n`)
  const table = (source_table: string, more: object = {}) => ({
    table: {
      source_schema: 'public',
      source_table,
      destination_schema: 'shop',
      table_configuration: { scd_type: 'SCD_TYPE_1', schema_drift, ...more },
    },
  })
  return {
    config: database.config,
    folder: lakehouse.folder,
    objects: [
      table('captured'),
      table('queried', { query_based_connector_config: { cursor_columns: ['changed'] } }),
      table('whole'),
    ],
    modes: { captured: 'cdc', whole: 'snapshot' },
  }
}

/** The statement on each of the tables, named `it` in it. */
async function each(statement: string): Promise<void> {
  for (const name of names) await database.query(statement.replaceAll(/\bit\b/g, name))
}

const touch = 'update it set v = v, changed = clock_timestamp() where id % 3 = 0'

async function differences(sync: SourceSync) {
  const compared = await compareSync(sync)
  return compared.flatMap(({ table, differences }) => differences.map((difference) => `${table}: ${difference}`))
}

async function run(sync: SourceSync): Promise<{ run: Run; told: Record<string, string[]>; resynced: string[] }> {
  const told: Record<string, string[]> = {}
  const resynced: string[] = []
  const report = (progress: SyncProgress) => {
    const table = progress.stream.split('.').at(-1)!
    if (progress.kind === 'resyncing') resynced.push(table)
    if (progress.kind !== 'schema_change') return
    const { kind, column, before, after } = progress.change
    told[table] = [...(told[table] ?? []), `${kind} ${column}: ${before} -> ${after}`]
  }
  return { run: await runSync(sync, { report }), told, resynced }
}

const ok = (result: Run) => result.streams.map(({ error }) => error)

const followed: [ddl: string, told: string, resynced: string[]][] = [
  ['alter table it add column size int', 'column_added size: null -> integer', []],
  ['alter table it drop column v', 'column_removed v: integer -> null', []],
  ['alter table it rename column v to amount', 'column_renamed amount: v -> amount', []],
  ['alter table it alter v type bigint', 'type_widened v: integer -> long', []],
  ['alter table it alter price type numeric(12,2)', 'type_widened price: decimal(8,2) -> decimal(12,2)', []],
  // These are written again at the source, which its log does not tell.
  ['alter table it alter v type numeric(20,0)', 'type_widened v: integer -> decimal(20,0)', ['captured']],
  ['alter table it alter day type timestamp', 'type_widened day: date -> timestamp', ['captured']],
]

test.each(followed)('%s is followed, between runs and inside the log', async (ddl, told, resynced) => {
  const sync = await shop()
  await run(sync)
  // Changes on both sides of the statement, so that the log has rows of both shapes.
  await each('insert into it (id, price, doc) select n, n, md5(n::text) from generate_series(1001, 1040) n')
  await each('update it set price = price + 1, changed = clock_timestamp() where id % 5 = 0')
  await each(ddl)
  await each('insert into it (id, price, doc) select n, n, md5(n::text) from generate_series(2001, 2040) n')
  await each('update it set price = price + 1, changed = clock_timestamp() where id % 4 = 0')
  await database.query('delete from captured where id % 9 = 0; delete from whole where id % 9 = 0')

  const after = await run(sync)
  const again = await run(sync)

  expect(ok(after.run)).toEqual([undefined, undefined, undefined])
  expect(after.told).toEqual(Object.fromEntries(names.map((name) => [name, [told]])))
  expect(after.resynced).toEqual(resynced)
  expect(again.told).toEqual({})
  expect(await differences(sync)).toEqual([])
})

test('a column that comes, goes, returns and is renamed between runs stays one column', async () => {
  const sync = await shop()
  await run(sync)
  for (const ddl of [
    'alter table it add column note text',
    `update it set note = 'n' || id, changed = clock_timestamp() where id < 50`,
    'alter table it drop column note',
    'alter table it add column note text',
    `update it set note = 'again', changed = clock_timestamp()`,
    'alter table it rename column note to remark',
    'alter table it rename column doc to note',
    `update it set note = 'short', changed = clock_timestamp() where id % 2 = 0`,
  ]) {
    await each(ddl)
    const { run: result } = await run(sync)
    expect(ok(result)).toEqual([undefined, undefined, undefined])
  }

  expect(await differences(sync)).toEqual([])
})

test('two renames of a column between two runs, with changes in between: copied again, never mixed up', async () => {
  const sync = await shop()
  await run(sync)
  await each('alter table it rename column v to w')
  await each('update it set w = w + 100, changed = clock_timestamp()')
  await each('alter table it rename column w to x')
  await each('update it set x = x + 1, changed = clock_timestamp() where id % 2 = 0')

  const after = await run(sync)

  expect(ok(after.run)).toEqual([undefined, undefined, undefined])
  expect(after.resynced).toEqual(['captured'])
  expect(await differences(sync)).toEqual([])
})

test('a number that becomes text: a column beside it by query, the new type where all is copied again', async () => {
  const sync = await shop()
  await run(sync)
  await each(`alter table it alter v type text using 'v' || v`)
  await each(touch)

  const after = await run(sync)

  expect(ok(after.run)).toEqual([undefined, undefined, undefined])
  expect(after.told).toEqual(Object.fromEntries(names.map((name) => [name, ['type_changed v: integer -> string']])))
  const different = await differences(sync)
  expect(different.filter((line) => !line.startsWith('queried'))).toEqual([])
})

test('frozen columns stop one table with the remedy, and a full refresh that is asked for takes them', async () => {
  const sync = await shop({ columns: 'freeze' })
  await run(sync)
  await database.query('alter table captured add column size int')
  await each('insert into it (id) values (5000)')

  const stopped = await run(sync)
  const asked = await runSync(sync, { fullRefresh: new Set(['main.shop.captured']) })

  expect(ok(stopped.run)).toEqual([
    expect.objectContaining({ code: 'table.schema_frozen', message: expect.stringContaining('column size (integer)') }),
    undefined,
    undefined,
  ])
  expect(ok(asked)).toEqual([undefined, undefined, undefined])
  expect(await differences(sync)).toEqual([])
})

test('values that do not fit are dropped or set aside, whichever way they come', async () => {
  const sync = await shop({ columns: 'discard_row', data_type: 'discard_value' })
  await run(sync)
  await each('alter table it add column size int')
  await each(`alter table it alter v type text using case when id = 3 then 'three' else v::text end`)
  await each('update it set size = 1, changed = clock_timestamp() where id = 6')
  await each(touch)
  const aside: unknown[] = []

  const result = await runSync(sync, { quarantine: () => async (rows) => void aside.push(...rows) })

  expect(result.streams.map(({ error, rejected }) => [error, rejected])).toEqual(Array(3).fill([undefined, 1]))
  expect(aside).toHaveLength(3)
})

test('while columns change and runs are killed, tables end as their sources', async () => {
  const kills = Number(process.env.SOAK ?? 0) || 4
  const sync = await shop({}, 5_000)
  const ddl = [
    'alter table it add column a# int',
    'alter table it rename column v to v#',
    'alter table it rename column v# to v',
    'alter table it drop column a#',
    'alter table it add column b# text',
    'alter table it alter price type numeric(#,2)',
  ]
  let step = 0
  for (let kill = 0; kill < kills; kill++) {
    const child = startChild('service/sync-child.ts', JSON.stringify(sync))
    const output = text(child.stdout!)
    const diesAtMs = Date.now() + 1_000 + Math.random() * 3_000
    while (Date.now() < diesAtMs) {
      const round = 20 + Math.floor(step / ddl.length)
      await each(ddl[step++ % ddl.length]!.replaceAll('#', String(Math.min(round, 38))))
      await each(touch.replace('v = v, ', 'doc = doc, '))
      await each(`insert into it (id, price) values (${10_000 + step}, ${step}) on conflict do nothing`)
      await new Promise((resolve) => setTimeout(resolve, 200 + Math.random() * 400))
    }
    child.kill('SIGKILL')
    await output
  }
  await run(sync)
  const result = await run(sync)

  expect(ok(result.run)).toEqual([undefined, undefined, undefined])
  expect(await differences(sync)).toEqual([])
}, 600_000)
