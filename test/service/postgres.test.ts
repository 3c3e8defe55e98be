import { afterAll, beforeAll, expect, jest, test } from '@jest/globals'
import type { ChangeStream, SnapshotStream } from '../../shared/connector/connector.ts'
import { postgres } from '../../shared/connectors/postgres/postgres.ts'
import type { Json } from '../../shared/core/json.ts'
import { type Cells, type Connected, collect, connect } from '../support/connector-run.ts'
import { createDatabase, type TestDatabase } from '../support/postgres.ts'

jest.setTimeout(60_000)

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

const ids = (rows: readonly Cells[]) => rows.map((row) => Number(row[0])).sort((a, b) => a - b)
const upTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1)

test('discovery finds tables, views and foreign keys of reading, not partitions', async () => {
  await database.query(`create schema shop;
    create table shop.orders (id bigint primary key, total numeric(10,2), note text, updated_at timestamptz not null, created_at timestamptz);
    create table shop.lines (a int, b int not null, c int not null, unique (b, c), unique (a)) ;
    create table shop.parted (id int, day date, primary key (id, day)) partition by range (day);
    create table shop.parted_1 partition of shop.parted for values from ('2026-01-01') to ('2026-02-01');
    create view shop.totals as select id, total from shop.orders;
    create materialized view shop.frozen as select 1 as one;
    create unlogged table shop.scratch (id int primary key);
    comment on column shop.orders.note is 'free text'`)

  const tables = await source.connector.discover(source.context, { schema: 'shop' })

  expect(tables.map(({ name, key, cursorCandidates, modes }) => ({ name, key, cursorCandidates, modes }))).toEqual([
    { name: 'frozen', key: [], cursorCandidates: [], modes: ['snapshot'] },
    { name: 'lines', key: ['b', 'c'], cursorCandidates: [], modes: ['snapshot'] },
    { name: 'orders', key: ['id'], cursorCandidates: ['updated_at', 'id'], modes: ['cdc', 'query', 'snapshot'] },
    { name: 'parted', key: ['id', 'day'], cursorCandidates: [], modes: ['cdc', 'snapshot'] },
    { name: 'scratch', key: ['id'], cursorCandidates: ['id'], modes: ['query', 'snapshot'] },
    { name: 'totals', key: [], cursorCandidates: [], modes: ['snapshot'] },
  ])
  expect(tables[2]!.columns.fields).toEqual([
    { name: 'id', type: { kind: 'long' }, nullable: false },
    { name: 'total', type: { kind: 'decimal', precision: 10, scale: 2 }, nullable: true },
    { name: 'note', type: { kind: 'string' }, nullable: true, metadata: { comment: 'free text' } },
    { name: 'updated_at', type: { kind: 'timestamp' }, nullable: false },
    { name: 'created_at', type: { kind: 'timestamp' }, nullable: true },
  ])
})

test('a snapshot in pieces holds every row once, and so does one piece read again', async () => {
  await database.query(`create table big (id bigint primary key, pad text);
    insert into big select i * 7, repeat('x', 400) || i from generate_series(1, 60000) i order by md5(i::text);
    analyze big`)
  const stream = (await source.open('public.big', 'snapshot', { columns: ['id'] })) as SnapshotStream

  const pieces = await stream.split()
  const rows = (await Promise.all(pieces.map((piece) => collect(stream.read(piece))))).map((read) => read.rows)

  expect(pieces.length).toBeGreaterThan(1)
  expect(ids(rows.flat())).toEqual(upTo(60000).map((id) => id * 7))
  expect(ids((await collect(stream.read(JSON.parse(JSON.stringify(pieces[1]))))).rows)).toEqual(ids(rows[1]!))
})

test('a backfill by pages and the changes after it hold every row once', async () => {
  await database.query(`create table moving (id serial primary key, updated_at timestamptz not null default clock_timestamp(), pad text);
    insert into moving (pad) select repeat('y', 700) from generate_series(1, 40000)`)
  const stream = (await source.open('public.moving', 'query', { columns: ['id'] })) as ChangeStream

  const cutoff = await stream.head()
  await database.query(`insert into moving (pad) select 'late' from generate_series(1, 5)`)
  const pieces = await stream.split(cutoff)
  const backfill = await Promise.all(pieces.map((piece) => collect(stream.backfill(piece, cutoff))))
  const changes = await collect(stream.changes(cutoff))

  expect(pieces.length).toBeGreaterThan(1)
  expect(ids(backfill.flatMap((read) => read.rows))).toEqual(upTo(40000))
  expect(ids(changes.rows)).toEqual([40001, 40002, 40003, 40004, 40005])
  expect((await collect(stream.changes(changes.checkpoints.at(-1)!))).rows).toEqual([])
})

test('a row committed late with an earlier moment is not missed', async () => {
  await database.query('create table late (id int primary key, updated_at timestamptz not null default now())')
  const stream = (await source.open('public.late', 'query')) as ChangeStream
  const slow = await database.session()
  await slow.query('begin; insert into late values (1)')
  await database.query('insert into late values (2)')

  const before = await collect(stream.changes(await stream.head()))
  await slow.query('commit')
  await slow.end()
  const after = await collect(stream.changes(before.checkpoints.at(-1) ?? { at: null }))

  expect(before.rows).toEqual([])
  expect(ids(after.rows)).toEqual([1, 2])
})

test('a number taken before and committed after a greater one is not missed', async () => {
  await database.query('create table numbered (id serial primary key, note text)')
  const stream = (await source.open('public.numbered', 'query', { cursorColumns: ['id'] })) as ChangeStream
  await database.query(`insert into numbered (note) values ('first')`)
  const slow = await database.session()
  let cursor: Json = await stream.head()
  await slow.query(`begin; insert into numbered (note) values ('slow')`)
  await database.query(`insert into numbered (note) values ('fast')`)
  const read: number[] = []
  const sync = async () => {
    const { rows, checkpoints } = await collect(stream.changes(cursor))
    read.push(...ids(rows))
    cursor = JSON.parse(JSON.stringify(checkpoints.at(-1) ?? cursor))
  }

  await sync()
  const whileOpen = [...read]
  await slow.query('commit')
  await slow.end()
  await sync()
  await sync()

  expect(whileOpen).toEqual([])
  expect(read.sort()).toEqual([2, 3])
})

test('rows with equal moments are read together or not at all', async () => {
  await database.query(`create table ties (id int primary key, updated_at timestamp not null, seq int);
    insert into ties select i, '2026-01-01'::timestamp + (i / 100) * interval '1 second', i % 100 from generate_series(1, 1000) i`)
  const one = (await source.open('public.ties', 'query', { columns: ['id'] })) as ChangeStream
  const two = (await source.open('public.ties', 'query', {
    columns: ['id'],
    cursorColumns: ['updated_at', 'seq'],
  })) as ChangeStream

  expect(ids((await collect(one.changes({ at: ['2026-01-01 00:00:05'] }))).rows)).toEqual(upTo(1000).slice(599))
  expect(ids((await collect(two.changes({ at: ['2026-01-01 00:00:05', '50'] }))).rows)).toEqual(upTo(1000).slice(550))
})

test('soft deletes come as deletes, and rows without a cursor are counted', async () => {
  await database.query(`create table soft (id bigint primary key, gone boolean, updated_at timestamptz);
    insert into soft values (1, false, '2026-01-01'), (2, true, '2026-01-02'), (3, null, '2026-01-03'), (4, false, null)`)
  const notices: string[] = []
  const stream = (await source.open('public.soft', 'query', {
    deletionCondition: { op: '=', column: 'gone', value: { text: 'true', kind: 'boolean' } },
    notice: (text) => notices.push(text),
  })) as ChangeStream

  const cutoff = await stream.head()
  const [piece] = await stream.split(cutoff)
  const backfill = await collect(stream.backfill(piece!, cutoff))
  const changes = await collect(stream.changes({ at: ['2026-01-01'] }))
  const keys = await collect(stream.keys!())

  expect(ids(backfill.rows)).toEqual([1, 3])
  expect(ids(changes.rows)).toEqual([3])
  expect(changes.deletes).toEqual([{ id: 2n }])
  expect(ids(keys.rows)).toEqual([1, 3, 4])
  expect(notices).toEqual([expect.stringContaining('1 rows of public.soft are not read, because updated_at is NULL')])
})

test('a filter is pushed down with names and constants that cannot escape', async () => {
  await database.query(`create type mood as enum ('sad', 'it''s ok');
    create table "odd ""name" ("a""b" text, mood mood, price numeric(8,3), n int, flag boolean, at date);
    insert into "odd ""name" values ('x''; drop table soft; --', 'it''s ok', 1.5, 3, true, '2026-05-05'), ('back\\slash%', 'sad', 2, 4, false, null)`)
  const read = async (filter: NonNullable<Parameters<Connected['open']>[2]>['filter']) => {
    const stream = (await source.open('public.odd "name', 'snapshot', {
      columns: ['n'],
      filter: filter!,
    })) as SnapshotStream
    return ids((await collect(stream.read({ kind: 'all' }))).rows)
  }

  expect(await read({ op: '=', column: 'a"b', value: { text: "x'; drop table soft; --", kind: 'string' } })).toEqual([
    3,
  ])
  expect(await read({ op: 'like', column: 'a"b', pattern: 'back\\\\slash\\%', negated: false })).toEqual([4])
  expect(await read({ op: '=', column: 'mood', value: { text: "it's ok", kind: 'string' } })).toEqual([3])
  expect(await read({ op: '>=', column: 'price', value: { text: '1.5001', kind: 'number' } })).toEqual([4])
  expect(await read({ op: '>', column: 'n', value: { text: '3.5', kind: 'number' } })).toEqual([4])
  expect(await read({ op: 'is null', column: 'at', negated: false })).toEqual([4])
  expect(
    await read({
      op: 'or',
      terms: [
        { op: 'in', column: 'n', values: [{ text: '3', kind: 'number' }], negated: false },
        { op: 'and', terms: [{ op: '!=', column: 'FLAG', value: { text: 'true', kind: 'boolean' } }] },
      ],
    }),
  ).toEqual([3, 4])
})

test('leaving a read early and aborting one leave no query behind', async () => {
  const running = async () =>
    (
      await database.query(
        `select 1 from pg_stat_activity where datname = current_database() and state = 'active' and pid <> pg_backend_pid()`,
      )
    ).length
  const until = async (count: number) => {
    for (let tries = 0; tries < 100 && (await running()) !== count; tries++)
      await new Promise((done) => setTimeout(done, 20))
    return running()
  }
  await database.query('create view endless as select i, pg_sleep(0.5)::text as slow from generate_series(1, 100000) i')
  const stream = (await source.open('public.big', 'snapshot')) as SnapshotStream
  for await (const message of stream.read({ kind: 'all' })) {
    expect(message.op).toBe('block')
    break
  }
  expect(await until(0)).toBe(0)

  const other = await connect(postgres, database.config)
  const slow = (await other.open('public.endless', 'snapshot')) as SnapshotStream
  const reading = collect(slow.read({ kind: 'all' }))
  expect(await until(1)).toBe(1)
  other.abort(new Error('deadline'))
  await expect(reading).rejects.toThrow('deadline')
  expect(await until(0)).toBe(0)
  await other[Symbol.asyncDispose]()
})
