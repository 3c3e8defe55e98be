import { afterAll, beforeAll, expect, jest, test } from '@jest/globals'
import type { ChangeStream } from '../../shared/connector/connector.ts'
import { headOfLog } from '../../shared/connectors/mysql/head.ts'
import { mysql } from '../../shared/connectors/mysql/mysql.ts'
import type { Sessions } from '../../shared/connectors/mysql/session.ts'
import { openSource } from '../../shared/connectors/mysql/source.ts'
import { type Connected, connect } from '../support/connector-run.ts'
import { Replica } from '../support/replica.ts'
import { createDatabase, numbers, type TestDatabase } from './database.ts'
import { flavourOfRun, isOld } from './server.ts'

jest.setTimeout(120_000)

const flavour = flavourOfRun()

let database: TestDatabase
let source: Connected

beforeAll(async () => {
  database = await createDatabase()
  source = await connect(mysql, database.config)
})
afterAll(async () => {
  await source[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
})

const open = async (table: string, from = source, selection = {}) =>
  (await from.open(`${database.name}.${table}`, 'cdc', selection)) as ChangeStream

async function followed(table: string, settings: object = {}): Promise<Replica> {
  await using reader = await connect(mysql, { ...database.config, ...settings })
  const replica = new Replica(await open(table, reader))
  await replica.load()
  return replica
}

const byId = (rows: Record<string, unknown>[]) =>
  [...rows].sort((a, b) => Number(a.id) - Number(b.id) || (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1))
const rowsOf = async (table: string) => byId(await database.query(`select * from ${table}`))

test.each(['gtid', 'file'])(
  'keys that change, big transactions and savepoints arrive, places kept by %s',
  async (kept) => {
    await using reader = await connect(mysql, { ...database.config, cdc_position: kept })
    const table = `mixed_${kept}`
    await database.query(`create table ${table} (id int primary key, n int, big longtext, note varchar(50));
    insert into ${table} select seq, seq, repeat(md5(seq), 200), concat('n', seq) from ${numbers(1, 50)}`)
    const replica = new Replica(await open(table, reader))
    await replica.load()

    await database.query(`update ${table} set n = n + 1 where id <= 10;
    update ${table} set id = id + 1000 where id between 11 and 15;
    delete from ${table} where id between 20 and 25;
    begin; insert into ${table} values (2000, 1, 'x', 'kept'); savepoint s;
    insert into ${table} values (2001, 1, 'x', 'rolled back'); update ${table} set note = 'no' where id = 1; rollback to s;
    insert into ${table} values (2002, 2, null, 'kept too'); commit;
    begin; insert into ${table} values (3000, 1, 'x', 'never'); rollback;
    insert into ${table} select seq, seq, null, 'bulk' from ${numbers(10001, 30000)};
    update ${table} set big = repeat('b', 20000000) where id = 1`)
    await replica.follow()

    expect(byId(replica.sorted())).toEqual(await rowsOf(table))
    expect(replica.rows.size).toBe(50 - 6 + 2 + 20_000)
  },
)

test('killed after any message and resumed from the last checkpoint, under load, the replica ends equal', async () => {
  await database.query('create table busy (id int primary key, v int, pad varchar(10))')
  const replica = await followed('busy')
  let random = 7
  const next = (below: number) => {
    random = (random * 1103515245 + 12345) % 2147483648
    return (random >> 8) % below
  }
  for (let round = 0; round < 30; round++) {
    const work = Array.from({ length: 1 + next(8) }, () => {
      const id = next(40)
      return [
        `insert into busy values (${id}, ${next(1000)}, 'p') on duplicate key update v = values(v)`,
        `update ignore busy set id = ${40 + next(40)} where id = ${id}`,
        `delete from busy where id = ${id}`,
      ][next(3)]
    })
    await database.query(`begin; ${work.join(';')}; ${next(4) === 0 ? 'rollback' : 'commit'}`)
    await using reader = await connect(mysql, database.config)
    await replica.follow(await open('busy', reader), 1 + next(12))
  }
  await using last = await connect(mysql, database.config)
  await replica.follow(await open('busy', last))

  expect(byId(replica.sorted())).toEqual(await rowsOf('busy'))
  expect(replica.deletes).toBeGreaterThan(0)
})

test('a transaction that is being committed while the copy begins is in the copy or in the changes', async () => {
  await database.query('create table racing (id int primary key auto_increment, v int)')
  let writing = true
  const writers = [1, 2].map(async () => {
    const session = await database.session()
    while (writing) await session.query('insert into racing (v) values (1), (2)')
    await session.end()
  })
  const replicas: Replica[] = []
  for (let n = 0; n < 10; n++) {
    const replica = new Replica(await open('racing'))
    await replica.load()
    replicas.push(replica)
  }
  writing = false
  await Promise.all(writers)
  for (const replica of replicas) await replica.follow()

  const expected = await rowsOf('racing')
  expect(expected.length).toBeGreaterThan(20)
  for (const replica of replicas) expect(byId(replica.sorted())).toEqual(expected)
})

test('an idle table moves on with the log', async () => {
  await database.query('create table idle (id int primary key); create table other (id int primary key)')
  const replica = new Replica(await open('idle'))
  await replica.load()
  await database.query('insert into other values (1)')
  await replica.follow()
  const moved = replica.checkpoints.length
  await replica.follow()

  expect(moved).toBe(1)
  expect(replica.checkpoints.length).toBe(1)
})

test('a filter decides on each row as it is now, letter by letter as the first copy does', async () => {
  await database.query(`create table filtered (id int primary key, state varchar(10), n int);
    insert into filtered values (1, 'paid', 1), (2, 'PAID', 2), (3, 'open', 3)`)
  const filter = { op: '=', column: 'state', value: { text: 'paid', kind: 'string' } } as const
  const replica = new Replica(await open('filtered', source, { filter, columns: ['id', 'n'] }))
  await replica.load()
  const copied = replica.sorted().map(({ id }) => id)

  await database.query(
    `update filtered set state = 'paid' where id = 3; update filtered set state = 'Paid' where id = 1; insert into filtered values (4, 'PAID', 4), (5, 'paid', 5)`,
  )
  await replica.follow()

  expect(copied).toEqual(['1'])
  expect(byId(replica.sorted())).toEqual(
    [
      { id: '3', n: '3' },
      { id: '5', n: '5' },
    ].map((row) => expect.objectContaining(row)),
  )
})

const replacing: [string, RegExp] = [
  "create or replace table changing (id int primary key, v int, e enum('a','b'))",
  /made anew/,
]

const renaming: [string, RegExp] = ['alter table changing rename column v to w', /renamed/]

test.each([
  ...(flavour === 'mariadb' ? [replacing] : []),
  ['truncate table changing', /was truncated/],
  ...(isOld() ? [] : [renaming]),
  ['alter table changing change v w int', /renamed/],
  ['alter table changing modify v varchar(20)', /type of its column v/],
  ["alter table changing modify e enum('b','a')", /type of its column e/],
  ['alter table changing modify v int unsigned', /type of its column v/],
  ['alter table changing add column filled int default 7', /added with a value/],
  ['alter table changing add column filled int not null', /added with a value/],
  [
    'set session explicit_defaults_for_timestamp = off; alter table changing add column filled timestamp; set session explicit_defaults_for_timestamp = on',
    /added with a value/,
  ],
  ["drop table changing; create table changing (id int primary key, v int, e enum('a','b'))", /was dropped/],
  [
    'rename table changing to aside; create table changing like aside; insert into changing select * from aside; drop table aside',
    /renamed/,
  ],
  ['alter table changing convert to character set latin1', /not understood/],
  ["set session binlog_format = 'STATEMENT'; update changing set v = 5; set session binlog_format = 'ROW'", /as text/],
  ["xa start 'x'; insert into changing values (77, 1, 'a'); xa end 'x'; xa prepare 'x'; xa rollback 'x'", /prepared/],
])('%s: copied again, never passed over', async (statement, message) => {
  await database.query(
    `create table changing (id int primary key, v int, e enum('a','b')); insert into changing values (1, 1, 'a')`,
  )
  try {
    const replica = await followed('changing')
    await database.query("insert into changing values (2, 2, 'b')")
    await database.query(statement)
    await database.query('insert ignore into changing (id) values (9)')

    await using later = await connect(mysql, database.config)
    const stream = await open('changing', later)
    await expect(replica.follow(stream)).rejects.toMatchObject({
      code: 'source.rewritten',
      remedy: 'resync',
      message: expect.stringMatching(message),
    })
    const again = new Replica(stream)
    await again.load()
    await again.follow()
    expect(byId(again.sorted())).toEqual(await rowsOf('changing'))
  } finally {
    await database.query('drop table if exists changing')
  }
})

test('columns that come and go, wider types and changes of tables of the same name elsewhere need no new copy', async () => {
  await database.query(`create table easy (id int primary key, n int, s varchar(5), gone varchar(5), e enum('a','b'), d decimal(6,2));
    insert into easy values (1, 1, 'a', 'x', 'a', 1.5)`)
  const replica = await followed('easy')
  const other = await createDatabase()
  try {
    await other.query('create table easy (id int); insert into easy values (1); truncate table easy; drop table easy')
    await database.query(`insert into easy values (2, 2, 'b', 'y', 'b', 2.5);
      alter table easy add column front varchar(5) character set latin1 first, modify n bigint, algorithm=copy;
      insert into easy values ('\u00e9', 3, 5000000000, 'c', 'z', 'a', 3.5);
      alter table easy drop column gone, add index by_n (n), comment 'it''s, (fine)';
      update easy set s = 'd' where id = 1;
      /* a comment, drop table easy */ alter table easy modify column s varchar(400) after d, modify e enum('a','b','c') null default 'a', modify d decimal(9,2);
      insert into easy (front, id, n, s, e, d) values (null, 4, 4, repeat('long', 90), 'c', 1234567.25);
      create temporary table easy2 (id int); drop temporary table easy2; analyze table easy; create index by_s on easy (s)`)
    await using later = await connect(mysql, database.config)
    const stream = await open('easy', later)
    await replica.follow(stream)

    const names = stream.schema.fields.map(({ name }) => name)
    const whole = byId(replica.sorted()).map((row) =>
      Object.fromEntries(names.map((name) => [name, row[name] ?? null])),
    )
    expect(whole).toEqual((await rowsOf('easy')).map((row) => ({ ...row, d: String(Number(row.d)) })))
  } finally {
    await other[Symbol.asyncDispose]()
  }
})

test.each([
  ['a wider type', 'modify n bigint', 'n = 5000000000'],
  ['a new member', "modify e enum('a','b','c')", "e = 'c'"],
  ['a new column', 'add column added varchar(10)', "added = 'new'"],
  ['a column less', 'drop column gone', 'n = 7'],
])(
  'altered under a stream that is open (%s), a table is read up to there, and the next stream needs no new copy',
  async (_, alteration, set) => {
    await database.query(`create table under (id int primary key, n int, e enum('a','b'), gone varchar(5));
    insert into under values (1, 1, 'a', 'x'), (2, 2, 'b', 'y')`)
    try {
      const replica = await followed('under')
      await using reader = await connect(mysql, database.config)
      const notices: string[] = []
      const stream = await open('under', reader, { notice: (text: string) => notices.push(text) })
      await database.query(
        `update under set n = 10 where id = 1; alter table under ${alteration}; update under set ${set} where id = 2`,
      )
      await replica.follow(stream)
      const upToThere = replica.sorted().map(({ n }) => n)
      const copying = stream.changes(replica.cursor, { upToNow: true })[Symbol.asyncIterator]()

      expect(upToThere).toEqual(['10', '2'])
      expect(notices).toEqual([expect.stringContaining('the next run goes on with them')])
      await expect(copying.next()).rejects.toMatchObject({ code: 'source.unavailable', remedy: 'retry' })
      const next = await open('under', reader)
      await replica.follow(next)
      const names = next.schema.fields.map(({ name }) => name)
      expect(
        byId(replica.sorted()).map((row) => Object.fromEntries(names.map((name) => [name, row[name] ?? null]))),
      ).toEqual(await rowsOf('under'))
    } finally {
      await database.query('drop table under')
    }
  },
)

test('a column that was added while it was not selected is read once it is', async () => {
  await database.query('create table later (id int primary key); insert into later values (1)')
  const replica = await followed('later')
  await database.query(
    "alter table later add column t varchar(10) character set latin1, add column e enum('a','b'); insert into later values (2, 'a', 'b')",
  )
  await replica.follow(await open('later', source, { columns: ['id'] }))
  await database.query("insert into later values (3, 'caf\u00e9', 'a')")
  await replica.follow(await open('later'))

  expect([...replica.rows.values()].find(({ id }) => id === '3')).toEqual({ id: '3', t: 'caf\u00e9', e: 'a' })
})

test('a column that came and was widened before it was read needs no new copy', async () => {
  await database.query('create table wider (id int primary key)')
  const replica = await followed('wider')
  await database.query(`alter table wider add column n smallint, add column s varchar(10); insert into wider values (1, -7, 'a');
    alter table wider modify n bigint, modify s text; insert into wider values (2, 5000000000, repeat('b', 300))`)
  await replica.follow(await open('wider'))

  expect(byId(replica.sorted()).map(({ id }) => id)).toEqual(['1', '2'])
  expect([...replica.rows.values()].map(({ n, s }) => [n, s?.length])).toEqual([
    ['-7', 1],
    ['5000000000', 300],
  ])
})

// MySQL compresses whole transactions, from 8.0.20 on.
if (flavour === 'mariadb')
  test('a compressed log is read', async () => {
    await database.query('create table packed (id int primary key, v varchar(2000))')
    const replica = await followed('packed')
    const session = await database.session()
    await session.query('set global log_bin_compress = on')
    const packing = await database.session()
    try {
      await packing.query(`insert into packed select seq, repeat('packed ', 200) from ${numbers(1, 200)}`)
      await packing.query(`update packed set v = repeat('again ', 200) where id < 50`)
      await packing.query('delete from packed where id > 190')
      await packing.query(`create table packed_too (id int primary key comment '${'long '.repeat(150)}')`)
    } finally {
      await session.query('set global log_bin_compress = off')
      await session.end()
      await packing.end()
    }
    await replica.follow(await open('packed'))

    expect(byId(replica.sorted())).toEqual(await rowsOf('packed'))
  })

test.each([
  ['rows', `set session binlog_row_image = 'MINIMAL'`, 'binlog_row_image'],
  ...(flavour === 'mysql' && !isOld()
    ? [['JSON', `set session binlog_row_value_options = 'PARTIAL_JSON'`, 'binlog_row_value_options']]
    : []),
])('a log with parts of %s is refused with the remedy', async (what, setting, named) => {
  const table = `parts_of_${what}`
  await database.query(`create table ${table} (id int primary key, v json, w int);
    insert into ${table} values (1, '{"a": "${'x'.repeat(200)}", "b": 1}', 1)`)
  const replica = await followed(table)
  const session = await database.session()
  await session.query(setting!)
  await session.query(`update ${table} set v = json_set(v, '$.b', 2) where id = 1`)
  await session.end()

  await expect(replica.follow(await open(table))).rejects.toMatchObject({
    code: 'config.invalid',
    message: expect.stringContaining(named!),
  })
})

test('a log that was purged, and a place that the server does not know, are told: the table is copied again', async () => {
  await database.query('create table purged (id int primary key)')
  const replica = await followed('purged')
  const first = async () => (await database.query('show binary logs'))[0]!.Log_name
  const before = await first()
  for (let n = 0; n < 50 && (n < 3 || (await first()) === before); n++) {
    await database.query(`insert into purged values (${n}); flush binary logs`)
    const [status] = await database.query('show master status')
    await database.query(`purge binary logs to '${status!.File}'`)
    // The newest files are kept until the engine has written what is in them.
    await new Promise((done) => setTimeout(done, 50))
  }

  await using later = await connect(mysql, database.config)
  await expect(replica.follow(await open('purged', later))).rejects.toMatchObject({ code: 'source.position_lost' })

  const future = new Replica(await open('purged', later))
  await future.load()
  const cursor = future.cursor as { place: { text: string } }
  future.cursor = { ...cursor, place: { kind: 'domains', text: '0-7-999999999' } } as never
  await expect(future.follow()).rejects.toMatchObject({ code: 'source.position_lost' })
})

test('virtual and stored columns, and a table without a key of its own', async () => {
  await database.query(`create table made (id int primary key, a int, twice int as (a * 2) virtual, thrice int as (a * 3) stored);
    insert into made (id, a) values (1, 1); create table keyless (a int)`)
  const replica = await followed('made')
  await database.query('insert into made (id, a) values (2, 5); update made set a = 7 where id = 1')
  await using later = await connect(mysql, database.config)
  await replica.follow(await open('made', later))

  expect(byId(replica.sorted())).toEqual(await rowsOf('made'))
  expect((await source.discover(`${database.name}.keyless`)).modes).toEqual(['snapshot'])
  await expect(open('keyless')).rejects.toMatchObject({
    code: 'config.invalid',
    message: expect.stringContaining('no primary key'),
  })
})

test('foreign keys that change rows below the log are named when the copy begins', async () => {
  await database.query(`create table parent (id int primary key);
    create table child (id int primary key, parent int, constraint child_parent foreign key (parent) references parent (id) on delete cascade)`)
  const notices: string[] = []
  const stream = await open('child', source, { notice: (text: string) => notices.push(text) })
  await stream.head()

  expect(notices).toEqual([expect.stringContaining('(child_parent)')])
})

test('a copy waits for a prepared transaction, whose rows no query sees', async () => {
  await database.query('create table waiting (id int primary key)')
  const session = await database.session()
  await session.query("xa start 'w'; insert into waiting values (1); xa end 'w'; xa prepare 'w'")
  const stream = await open('waiting')
  const refused = stream.head().catch((error: unknown) => error)

  expect(await refused).toMatchObject({ code: 'source.unavailable', message: expect.stringContaining('XA') })
  await session.query("xa commit 'w'")
  await session.end()
  const replica = new Replica(stream)
  await replica.load()
  expect(replica.rows.size).toBe(1)
})

test('a server whose snapshots do not tell their place is asked for it under a lock, which waits for writers', async () => {
  await database.query('create table locked (id int primary key)')
  const opened = await openSource(
    source.context as Sessions,
    { schema: database.name, name: 'locked' },
    { mode: 'cdc', columns: ['id'], key: ['id'], parallelism: 1, owner: 'test' },
  )
  const other = { ...opened, server: { ...opened.server, snapshotTellsPosition: false, gtid: 'none' as const } }
  const session = await database.session()
  await session.query('begin; insert into locked values (1)')
  let placed = false
  const place = headOfLog(other).finally(() => {
    placed = true
  })
  await new Promise((done) => setTimeout(done, 300))
  const early = placed
  await session.query('commit')
  await session.end()
  const [status] = await database.query('show master status')

  expect(early).toBe(false)
  expect(await place).toMatchObject({ kind: 'file', text: `${status!.File}:${status!.Position}` })
})
