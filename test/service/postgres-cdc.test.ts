import { afterAll, beforeAll, expect, jest, test } from '@jest/globals'
import type { ChangeStream } from '../../shared/connector/connector.ts'
import { postgres } from '../../shared/connectors/postgres/postgres.ts'
import type { Connected } from '../support/connector-run.ts'
import { connect } from '../support/connector-run.ts'
import { createDatabase, type TestDatabase } from '../support/postgres.ts'
import { Replica } from '../support/replica.ts'

jest.setTimeout(120_000)

let database: TestDatabase
let source: Connected

beforeAll(async () => {
  database = await createDatabase()
  source = await connect(postgres, database.config)
})
afterAll(async () => {
  await source[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
})

const open = async (table: string, owner: string, from = source, selection = {}) =>
  (await from.open(`public.${table}`, 'cdc', { owner, ...selection })) as ChangeStream

/** The table's rows, as the replica has them, by number of the id; long values by their length. */
const rowsOf = async (table: string, columns: string) => byId(await database.query(`select ${columns} from ${table}`))

function byId(rows: Record<string, unknown>[]): Record<string, unknown>[] {
  const short = (value: unknown) =>
    typeof value === 'string' && value.length > 100 ? `${value.slice(0, 32)} ${value.length}` : value
  return rows
    .map((row) => Object.fromEntries(Object.entries(row).map(([name, value]) => [name, short(value)])))
    .sort((a, b) => Number(a.id) - Number(b.id) || (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1))
}

test.each(['streaming', 'sql'])(
  'keys that change, big transactions, savepoints and unchanged large values arrive by %s',
  async (transport) => {
    await using reader = await connect(postgres, { ...database.config, cdc_transport: transport })
    const table = `mixed_${transport}`
    await database.query(`create table ${table} (id int primary key, n int, big text, note text);
    alter table ${table} alter column big set storage external;
    insert into ${table} select i, i, repeat(md5(i::text), 200), 'n' || i from generate_series(1, 50) i`)
    const replica = new Replica(await open(table, `mixed-${transport}`, reader))
    await replica.load()

    await database.query(`update ${table} set n = n + 1 where id <= 10`)
    await database.query(`update ${table} set id = id + 1000 where id between 11 and 15`)
    await database.query(`delete from ${table} where id between 20 and 25`)
    await database.query(`begin; insert into ${table} values (2000, 1, 'x', 'kept'); savepoint s;
    insert into ${table} values (2001, 1, 'x', 'rolled back'); update ${table} set note = 'no' where id = 1; rollback to s;
    insert into ${table} values (2002, 2, null, 'kept too'); commit`)
    await database.query(`begin; insert into ${table} values (3000, 1, 'x', 'never'); rollback`)
    await database.query(`insert into ${table} select i, i, null, 'bulk' from generate_series(10001, 30000) i`)
    await replica.follow()

    const expected = await rowsOf(table, 'id::text, n::text, big, note')
    expect(byId(replica.sorted())).toEqual(expected)
    expect(expected.length).toBe(50 - 6 + 2 + 20000)
  },
)

test('killed after any message and resumed from the last checkpoint, under load, the replica ends equal', async () => {
  await database.query('create table busy (id int primary key, v int, pad text)')
  const replica = new Replica(await open('busy', 'busy'))
  await replica.load()
  const writer = await database.session()
  let random = 7
  const next = (below: number) => {
    random = (random * 1103515245 + 12345) % 2147483648
    return (random >> 8) % below
  }
  for (let round = 0; round < 30; round++) {
    const work = Array.from({ length: 1 + next(8) }, () => {
      const id = next(40)
      return [
        `insert into busy values (${id}, ${next(1000)}, 'p') on conflict (id) do update set v = excluded.v`,
        `update busy set id = ${40 + next(40)} where id = ${id} and not exists (select from busy b where b.id >= 40)`,
        `delete from busy where id = ${id}`,
      ][next(3)]
    })
    await writer.query(`begin; ${work.join(';')}; ${next(4) === 0 ? 'rollback' : 'commit'}`)
    await using reader = await connect(postgres, database.config)
    await replica.follow(await open('busy', 'busy', reader), 1 + next(12))
  }
  await replica.follow()
  await writer.end()

  expect(byId(replica.sorted())).toEqual(await rowsOf('busy', 'id::text, v::text, pad'))
  expect(replica.deletes).toBeGreaterThan(0)
})

test('an idle table lets the slot follow, and the slot waits for the slowest table', async () => {
  await database.query('create table one (id int primary key); create table two (id int primary key)')
  const one = new Replica(await open('one', 'pair'))
  const two = new Replica(await open('two', 'pair'))
  await one.load()
  await two.load()
  const confirmed = async () =>
    (
      await database.query(
        `select confirmed_flush_lsn::text as at from pg_replication_slots where slot_name like 'lakeflow_pair%'`,
      )
    )[0]!.at
  const start = await confirmed()
  await database.query('insert into one values (1)')

  await one.follow()
  const alone = await confirmed()
  await two.follow()

  expect(alone).toBe(start)
  expect(await confirmed()).not.toBe(start)
  await database.query('insert into two values (5)')
  await one.follow()
  await two.follow()
  expect([...two.rows.keys()]).toEqual(['["5"]'])
})

test('a table without a key is captured by its whole rows, and one that cannot be is refused with the remedy', async () => {
  await database.query(`create table plain (a int, b text); insert into plain values (1, 'x'), (2, 'y')`)
  await expect(open('plain', 'plain')).rejects.toMatchObject({
    code: 'config.invalid',
    message: expect.stringContaining('alter table public.plain replica identity full'),
  })
  await database.query('alter table plain replica identity full')
  const replica = new Replica(await open('plain', 'plain'))
  await replica.load()

  await database.query(
    `update plain set b = 'z' where a = 1; delete from plain where a = 2; insert into plain values (3, null)`,
  )
  await replica.follow()

  expect(replica.sorted()).toEqual([
    { a: '1', b: 'z' },
    { a: '3', b: null },
  ])
})

test('partitions arrive as their root, new ones too', async () => {
  await database.query(`create table parted (id int, region text, v int, primary key (id, region)) partition by list (region);
    create table parted_a partition of parted for values in ('a');
    insert into parted select i, 'a', i from generate_series(1, 10) i`)
  const replica = new Replica(await open('parted', 'parted'))
  await replica.load()

  await database.query(`create table parted_b partition of parted for values in ('b');
    insert into parted values (1, 'b', 100); update parted set region = 'b' where id = 5; delete from parted where id = 9`)
  await replica.follow()

  expect(byId(replica.sorted())).toEqual(await rowsOf('parted', 'id::text, region, v::text'))
})

test('a filter decides on each row as it is now', async () => {
  await database.query(`create table filtered (id int primary key, n int, big text); alter table filtered alter big set storage external;
    insert into filtered select i, i, repeat(md5(i::text), 200) from generate_series(1, 6) i`)
  const filter = { op: '>', column: 'n', value: { text: '3', kind: 'number' } } as const
  const replica = new Replica(await open('filtered', 'filtered', source, { filter }))
  await replica.load()

  await database.query(
    'update filtered set n = 10 where id = 1; update filtered set n = 0 where id = 6; insert into filtered values (7, 2, null), (8, 8, null)',
  )
  await replica.follow()

  expect(byId(replica.sorted())).toEqual(
    (await rowsOf('filtered', 'id::text, n::text, big')).filter((row) => Number(row.n) > 3),
  )
})

test('a filter that looks at a large value which is not selected and was not changed asks the source', async () => {
  await database.query(`create table unselected (id int primary key, n int, big text); alter table unselected alter big set storage external;
    insert into unselected select i, i, repeat(md5(i::text), 200) from generate_series(1, 3) i`)
  const filter = { op: 'is null', column: 'big', negated: true } as const
  const replica = new Replica(await open('unselected', 'unselected', source, { filter, columns: ['id', 'n'] }))
  await replica.load()

  await database.query('update unselected set n = 10 where id = 1; update unselected set big = null where id = 2')
  await replica.follow()

  expect(byId(replica.sorted())).toEqual(await rowsOf('unselected where big is not null', 'id::text, n::text'))
})

test.each([
  ['truncate table changing', 'source.rewritten', /was truncated/],
  [
    'alter table changing rename column v to w; alter table changing add column v int',
    'source.rewritten',
    /v has the name that another one had/,
  ],
  ['alter table changing alter column v type text using v::text', 'source.rewritten', /type of the column v/],
  ['alter table changing alter column n type numeric(8,1)', 'source.rewritten', /n holds less/],
  [`alter table changing add column filled int default 7`, 'source.rewritten', /added with a value/],
  ['drop table changing; create table changing (id int primary key, v int)', 'source.rewritten', /made anew/],
  [
    `do $$ declare p text; begin select pubname into p from pg_publication where pubname like 'lakeflow_changing%';
      execute format('alter publication %I drop table changing', p); insert into changing values (8, 8);
      execute format('alter publication %I add table changing', p); end $$`,
    'source.position_lost',
    /published anew/,
  ],
  [
    `select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name like 'lakeflow_changing%'`,
    'source.position_lost',
    /no replication slot/,
  ],
  [
    `insert into changing values (9, 9); select pg_replication_slot_advance(slot_name, pg_current_wal_lsn()) from pg_replication_slots where slot_name like 'lakeflow_changing%'`,
    'source.position_lost',
    /moved or made anew/,
  ],
])('%s: copied again, never passed over', async (statement, code, message) => {
  await database.query(
    'create table changing (id int primary key, v int, n numeric(8,2) default 1.25); insert into changing values (1, 1)',
  )
  try {
    const replica = new Replica(await open('changing', 'changing'))
    await replica.load()
    await replica.follow()
    await database.query('insert into changing values (2, 2)')
    for (const each of statement.startsWith('do') ? [statement] : statement.split('; ')) await database.query(each)

    await using later = await connect(postgres, database.config)
    const stream = await open('changing', 'changing', later)
    await expect(replica.follow(stream)).rejects.toMatchObject({
      code,
      remedy: 'resync',
      message: expect.stringMatching(message),
    })

    const again = new Replica(stream)
    await again.load()
    await again.follow()
    expect(again.rows.size).toBe((await database.query('select from changing')).length)
  } finally {
    await source.connector.release!(source.context, 'changing', [])
    await database.query('drop table changing')
  }
})

test('columns that come without values, wider types and dropped columns need no new copy', async () => {
  await database.query(
    `create table easy (id int primary key, n int, s varchar(5), gone text); insert into easy values (1, 1, 'a', 'x')`,
  )
  const replica = new Replica(await open('easy', 'easy', source, { columns: ['id', 'n', 's'] }))
  await replica.load()
  await database.query(`insert into easy values (2, 2, 'b', 'x');
    alter table easy add column extra text; alter table easy alter n type bigint; alter table easy alter s type text; alter table easy drop column gone;
    insert into easy values (3, 5000000000, 'longer than five', 'new')`)

  await using later = await connect(postgres, database.config)
  await replica.follow(await open('easy', 'easy', later, { columns: ['id', 'n', 's', 'extra'] }))

  expect(replica.sorted()).toEqual([
    { id: '1', n: '1', s: 'a' },
    { id: '2', n: '2', s: 'b', extra: null },
    { id: '3', n: '5000000000', s: 'longer than five', extra: 'new' },
  ])
})

test('altered while it is copied, a table is told so before a copy is taken for whole', async () => {
  await database.query('create table under (id int primary key, n int); insert into under values (1, 1)')
  const stream = await open('under', 'under')
  const cutoff = await stream.head()
  await database.query('alter table under add column added text; insert into under values (2, 2)')
  const copying = stream.changes(cutoff, { upToNow: true })[Symbol.asyncIterator]()

  await expect(copying.next()).rejects.toMatchObject({ code: 'source.unavailable', remedy: 'retry' })
})

test.each(['streaming', 'sql'])(
  'what was committed without waiting for the disk is told to a copy that saw it, by %s',
  async (transport) => {
    await using reader = await connect(postgres, { ...database.config, cdc_transport: transport })
    const table = `eager_${transport}`
    await database.query(`create table ${table} (id int primary key)`)
    const stream = await open(table, `eager-${transport}`, reader)
    const cutoff = await stream.head()
    const writer = await database.session()
    await writer.query('set synchronous_commit = off')
    const told: number[] = []
    for (let id = 1; id <= 10; id++) {
      await writer.query(`insert into ${table} values (${id})`)
      let rows = 0
      for await (const message of stream.changes(cutoff, { upToNow: true })) if (message.op === 'upsert') rows++
      told.push(rows)
    }
    await writer.end()

    expect(told).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
  },
)

test('a slot and publication of the user are taken as they are, and what is missing is named', async () => {
  await database.query('create table theirs (id int primary key)')
  const stream = await open('theirs', 'theirs', source, {
    slotConfig: { slotName: 'their_slot', publicationName: 'their_pub' },
  })

  await expect(stream.head()).rejects.toMatchObject({
    code: 'source.object_missing',
    message: expect.stringContaining('create publication "their_pub" for table only "public"."theirs"'),
  })
  await database.query('create publication their_pub for table theirs with (publish_via_partition_root = true)')
  await expect(stream.head()).rejects.toMatchObject({
    message: expect.stringContaining(`pg_create_logical_replication_slot('their_slot'`),
  })
  await database.query(`select pg_create_logical_replication_slot('their_slot', 'pgoutput')`)
  const replica = new Replica(stream)
  await replica.load()
  await database.query('insert into theirs values (1)')
  await replica.follow()

  expect(replica.rows.size).toBe(1)
})

test('release keeps what is named, and without names drops slot and publication', async () => {
  await database.query('create table keep (id int primary key); create table leave (id int primary key)')
  await (await open('keep', 'letting-go')).head()
  await (await open('leave', 'letting-go')).head()
  const published = () =>
    database.query(`select tablename from pg_publication_tables where pubname like 'lakeflow_letting_go%' order by 1`)
  const slots = () => database.query(`select from pg_replication_slots where slot_name like 'lakeflow_letting_go%'`)

  await source.connector.release!(source.context, 'letting-go', [{ schema: 'public', name: 'keep' }])
  expect(await published()).toEqual([{ tablename: 'keep' }])
  expect((await slots()).length).toBe(1)

  await source.connector.release!(source.context, 'letting-go', [])
  expect(await published()).toEqual([])
  expect((await slots()).length).toBe(0)
})
