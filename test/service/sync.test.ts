import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { startChild } from '../support/child.ts'
import { createDatabase, serverVersion, type TestDatabase } from '../support/postgres.ts'
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

/**
 * Tables of each way of reading: events are only added and are found by their number, accounts are written again and found
 * by their time, prices are read whole, stock is followed in the server's log, deletes included, and so are moves, which
 * are only added, and shelves, which seldom change: one read of the log serves the three.
 */
async function shop(rows: number): Promise<SourceSync> {
  await database.query(`
    create table events (id bigserial primary key, at timestamptz not null default clock_timestamp(), kind text, payload jsonb, amount numeric(12,2));
    create table accounts (id int primary key, name text, balance numeric(20,4), tags text[], changed timestamptz not null default clock_timestamp());
    create table prices (sku text primary key, price double precision, valid date);
    insert into events (kind, payload, amount) select 'k' || n % 7, jsonb_build_object('n', n, 'text', repeat('x', n % 50)), n * 1.01 from generate_series(1, ${rows}) n;
    insert into accounts (id, name, balance, tags) select n, 'account ' || n, n / 3.0, array['a' || n, null] from generate_series(1, ${rows / 10}) n;
    create table stock (sku text, place int, amount int, note text, primary key (sku, place));
    insert into stock select 'sku' || n % 50, n / 50, n, repeat('note ', n % 700) from generate_series(1, 2000) n;
    create table moves (id bigserial primary key, sku text, amount int);
    create table shelves (place int primary key, note text);
    insert into shelves select n, 'shelf ' || n from generate_series(1, 40) n;
    insert into prices select 'sku' || n, n / 7.0, date '2020-01-01' + n from generate_series(1, 500) n;
    analyze`)
  const table = (source_table: string, table_configuration: object) => ({
    table: { source_schema: 'public', source_table, destination_schema: 'shop', table_configuration },
  })
  return {
    config: database.config,
    folder: lakehouse.folder,
    objects: [
      table('events', { scd_type: 'APPEND_ONLY', query_based_connector_config: { cursor_columns: ['id'] } }),
      table('accounts', { scd_type: 'SCD_TYPE_1', query_based_connector_config: { cursor_columns: ['changed'] } }),
      table('prices', { scd_type: 'SCD_TYPE_1' }),
      table('stock', { scd_type: 'SCD_TYPE_1' }),
      table('moves', { scd_type: 'APPEND_ONLY' }),
      table('shelves', { scd_type: 'SCD_TYPE_1' }),
    ],
    modes: { prices: 'snapshot', stock: 'cdc', moves: 'cdc', shelves: 'cdc' },
  }
}

/** One small transaction on every table, as an application would make it. */
const change = (random: () => number) =>
  database.query(`begin;
    insert into events (kind, amount) select 'new', n from generate_series(1, ${1 + Math.floor(random() * 40)}) n;
    insert into accounts (id, name) values (${1_000_000 + Math.floor(random() * 1e9)}, 'new') on conflict do nothing;
    update accounts set balance = coalesce(balance, 0) + 1, changed = clock_timestamp() where id % 97 = ${Math.floor(random() * 97)};
    update stock set amount = amount + 1 where place = ${Math.floor(random() * 40)};
    delete from stock where sku = 'sku${Math.floor(random() * 50)}' and place = ${Math.floor(random() * 40)};
    insert into stock values ('new', ${Math.floor(random() * 1e9)}, 1, 'n') on conflict do nothing;
    insert into moves (sku, amount) select 'sku' || n, n from generate_series(1, ${Math.floor(random() * 9)}) n;
    update shelves set note = 'again' where place = ${Math.floor(random() * 4000)};
    update prices set price = ${random()} where sku = 'sku${Math.floor(random() * 500)}';
    commit`)

async function differences(sync: SourceSync) {
  const compared = await compareSync(sync)
  return compared.flatMap(({ table, differences }) => differences.map((difference) => `${table}: ${difference}`))
}

test('every type arrives with the values the source has', async () => {
  const values: Record<string, readonly string[]> = {
    boolean: ['true', 'false'],
    smallint: ['-32768', '32767'],
    bigint: ['-9223372036854775808', '9223372036854775807'],
    real: ["'0.1'", "'NaN'", "'-Infinity'", "'1e-45'"],
    'double precision': ['0.1', "'NaN'", "'5e-324'", "'-0'", '1.7976931348623157e308'],
    'numeric(10,2)': ['-99999999.99', '0.1', '0'],
    'numeric(38,18)': ['-99999999999999999999.999999999999999999', '0.000000000000000001'],
    ...((await serverVersion()) >= 15 && { 'numeric(5,-2)': ['1234567'] }),
    numeric: ['1.10', "'NaN'", '123456789012345678901234567890123456789012345.000001'],
    money: ["'-1234.56'::numeric"],
    text: ["E'a\\tb\\nc\\\\d'", "''", "'\\N'", "'uni \u{1d11e} \u6f22'"],
    'character(5)': ["'ab'"],
    bytea: ["'\\x00ff10'", "''"],
    date: ["'0001-01-01'", "'9999-12-31'", "'infinity'", "'1969-12-31'"],
    timestamp: ["'0001-01-01 00:00:00'", "'1969-12-31 23:59:59.999999'", "'-infinity'"],
    timestamptz: ["'2026-01-31 10:00:00.123456+02'", "'1582-10-15 00:00:00+00'"],
    time: ["'23:59:59.999999'"],
    interval: ["'1 year 2 days 03:04:05.6'"],
    uuid: ["'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"],
    jsonb: ['\'{"a": [1, null, "x"], "b": 1.10}\''],
    'text[]': ["array['a', null, 'b\"c']", "'{}'"],
    'integer[]': ['array[1, null, -3]'],
    'bigint[]': ['array[9223372036854775807]'],
    'numeric(6,2)[]': ['array[1.5, null]'],
    'timestamptz[]': ["array['2026-01-31 10:00:00.5+02'::timestamptz]"],
    inet: ["'192.168.0.1/24'"],
    int4range: ["'[1,5)'"],
    point: ["'(1.5,2)'"],
  }
  const columns = Object.keys(values).map((type, i) => `c${i} ${type}`)
  await database.query(
    `create table every_type (id serial primary key, changed timestamptz not null default now(), ${columns.join(', ')})`,
  )
  for (const [i, [, list]] of Object.entries(values).entries())
    for (const value of list) await database.query(`insert into every_type (c${i}) values (${value})`)
  const table_configuration = { query_based_connector_config: { cursor_columns: ['changed'] } }
  const sync = {
    config: database.config,
    folder: lakehouse.folder,
    objects: [{ table: { source_schema: 'public', source_table: 'every_type', table_configuration } }],
  }

  const run = await runSync(sync)

  expect(run.streams).toMatchObject([{ state: 'COMPLETED', rejected: 0 }])
  expect(await differences(sync)).toEqual([])
})

test('the checker sees one changed, lost, doubled or exchanged value', async () => {
  const sync = await shop(1_000)
  await runSync(sync)
  expect(await differences(sync)).toEqual([])

  await database.query(`update events set payload = '{}' where id = 500`)
  await database.query(`delete from accounts where id = 50`)
  await database.query(`update prices p set price = other.price from prices other
    where (p.sku, other.sku) in (('sku1', 'sku2'), ('sku2', 'sku1'))`)

  expect(await differences(sync)).toEqual([
    'events: payload: values differ',
    'accounts: public.accounts: 99 rows in the source, 100 in the table',
    'prices: public.prices: the columns hold the same values, but not in the same rows',
  ])
})

test('after random batches with syncs at the same time, tables equal their sources', async () => {
  const sync = await shop(2_000)
  let writing = true
  let runs = 0
  const syncs = (async () => {
    for (; writing; runs++)
      expect((await runSync(sync)).streams.map(({ error }) => error)).toEqual(Array(6).fill(undefined))
  })()
  // A sync that fails ends the writing as well.
  syncs.catch(() => (runs = Infinity))

  // On a busy machine the fourth sync comes after the fiftieth batch.
  for (let batch = 0; batch < 50 || runs < 4; batch++) {
    await change(Math.random)
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 100))
  }
  writing = false
  await syncs
  await runSync(sync)

  expect(await differences(sync)).toEqual([])
})

test('killed at random moments, no row is lost and none is there twice', async () => {
  const kills = Number(process.env.SOAK ?? 0) || 8
  const sync = await shop(40_000)

  for (let kill = 0; kill < kills; kill++) {
    const child = startChild('service/sync-child.ts', JSON.stringify(sync))
    const output = text(child.stdout!)
    const livesMs = 300 + Math.random() * 2_700
    const diesAtMs = Date.now() + livesMs
    while (Date.now() < diesAtMs) {
      await change(Math.random)
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 100))
    }
    child.kill('SIGKILL')
    const finished = (await output)
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line))
    expect(finished.flatMap(({ errors }) => errors)).toEqual([])
    if (kill % 10 === 9) {
      await runSync(sync)
      expect(await differences(sync)).toEqual([])
    }
  }
  const run = await runSync(sync)

  expect(run.streams.map(({ error }) => error)).toEqual(Array(6).fill(undefined))
  expect(await differences(sync)).toEqual([])
}, 3_600_000)
