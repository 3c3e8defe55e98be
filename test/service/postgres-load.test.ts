import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect, jest, test } from '@jest/globals'
import pg from 'pg'
import { freePort } from '../../local/embedded-postgres.ts'
import { startChild } from '../support/child.ts'
import { startTestServer } from '../support/postgres-server.ts'
import { compareSync, runSync, type SourceSync } from '../support/source-sync.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

jest.setTimeout(400_000)

const pause = (ms: number) => new Promise((done) => setTimeout(done, ms))

/** Four captured tables: of many types with large values, of two keys, without any key, and one that is only added to. */
const tables = `
  create type mood as enum ('sad', 'ok', 'glad');
  create table accounts (id bigint primary key, name text, balance numeric(20,4), state mood not null default 'ok', tags text[], born date,
    seen timestamptz not null default clock_timestamp(), at timestamp, took interval, ratio real, score double precision, part bytea, note text, extra jsonb, bits bit(12),
    home inet, code uuid, flag boolean, span int4range, small smallint, free numeric);
  alter table accounts alter note set storage external;
  insert into accounts select n, 'caf\u00e9 ' || n, n / 3.0, (array['sad','ok','glad']::mood[])[1 + n % 3], array['a' || n, null], date '2000-01-01' + n, now(), now(),
    n * interval '1 second', n / 7.0, n / 11.0, decode(lpad(to_hex(n), 12, '0'), 'hex'), repeat('note ', n % 900), jsonb_build_object('n', n, 'list', array[1, null]), (n % 4096)::bit(12),
    '10.0.0.1', md5(n::text)::uuid, n % 2 = 0, int4range(n, n + 5), n % 30000, n / 17.0 from generate_series(1, 2000) n;
  create table stock (sku text, place int, amount int, primary key (sku, place));
  insert into stock select 'sku' || n % 50, n / 50, n from generate_series(1, 1500) n;
  create table marks (word text, n int); alter table marks replica identity full;
  insert into marks select 'w' || n, n from generate_series(1, 50) n;
  create table moves (id bigserial primary key, sku text, amount int)`

/** One transaction on every table, as an application would make it: keys change, savepoints are taken back, some are large. */
function change(random: number): string {
  const n = random % 2000
  const large =
    random % 10 === 0
      ? `insert into stock select 'big${random}', n, 1 from generate_series(1, 3000) n; delete from stock where sku like 'big%' and place > 2000;`
      : ''
  return `begin;
    update accounts set balance = balance + 1, seen = clock_timestamp(), extra = jsonb_build_object('r', ${random}) where id % 97 = ${random % 97};
    update accounts set note = repeat('x', ${random % 9000}), tags = '{}', flag = null where id = ${(n * 3) % 2000};
    update accounts set id = id + 100000 where id = ${n} and not exists (select from accounts a where a.id = ${n + 100_000});
    delete from accounts where id = ${(n * 7) % 2000};
    insert into accounts (id, name, born, free) values (${n}, 'again \u00fc', 'infinity', 'NaN') on conflict do nothing;
    savepoint s; update stock set amount = -1 where place < 5; insert into moves (sku, amount) values ('never', 1); rollback to s;
    savepoint t; update stock set amount = amount + 1 where place = ${random % 40}; release t;
    delete from stock where sku = 'sku${random % 50}' and place = ${random % 37};
    ${large}
    insert into moves (sku, amount) select 'sku', n from generate_series(1, ${random % 5}) n;
    delete from marks where n = ${random % 50}; insert into marks values ('again', ${random % 50});
    ${random % 6 === 0 ? 'rollback' : 'commit'}`
}

/** What is done to the source in each round, while a sync runs. */
const alterations: (string | undefined)[] = [
  `alter table accounts add column added text; alter table accounts add column filled int not null default 7`,
  undefined,
  `alter table stock alter amount type bigint; alter table accounts drop column took; alter type mood add value 'angry'`,
  `alter table accounts rename column score to points; alter table accounts alter name type varchar(200)`,
  `alter table accounts alter ratio type text using 'r' || ratio; alter table accounts alter small drop not null, alter small set default 4`,
  `truncate moves`,
  `alter table stock rename to stock_old; create table stock (like stock_old including all); insert into stock select * from stock_old; drop table stock_old`,
  undefined,
]

/** Syncs over and over in a process of its own. `kill` gives what it printed. */
function startReader(sync: SourceSync) {
  const child = startChild('service/sync-child.ts', JSON.stringify(sync))
  const output = text(child.stdout!)
  let runs = 0
  child.stdout!.on('data', (chunk: Buffer) => {
    runs += chunk.toString().split('\n').length - 1
  })
  return {
    /** A run that begins from now on has ended, or the process has. */
    async finishesOne(): Promise<void> {
      const wanted = runs + 2
      for (let left = 600; left > 0 && runs < wanted && child.exitCode === null; left--) await pause(50)
    },
    async kill(): Promise<string> {
      child.kill('SIGKILL')
      return await output
    },
  }
}

test('through kills of ours, crashes of theirs, tables altered in every way and a slot that is dropped, the tables end with the values of the source', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'lakeflow-load-'))
  const lakehouse = await temporaryFolder()
  const port = await freePort()
  const start = () => startTestServer({ dataFolder: join(folder, 'data'), port })
  let server = await start()
  const session = async () => {
    const client = new pg.Client({ connectionString: server.url })
    client.on('error', () => {})
    await client.connect()
    return client
  }
  const sql = async (statements: string) => {
    const client = await session()
    try {
      for (const each of statements.split(/;\s*\n?/).filter(Boolean)) await client.query(each)
    } finally {
      await client.end()
    }
  }
  const object = (source_table: string, scd_type = 'SCD_TYPE_1') => ({
    table: { source_schema: 'public', source_table, destination_schema: 'shop', table_configuration: { scd_type } },
  })
  const sync: SourceSync = {
    config: {
      host: server.host,
      port,
      database: 'postgres',
      user: server.user,
      password: server.password,
      sslmode: 'disable',
    },
    folder: lakehouse.folder,
    objects: [object('accounts'), object('stock'), object('marks'), object('moves', 'APPEND_ONLY')],
    modes: { accounts: 'cdc', stock: 'cdc', marks: 'snapshot', moves: 'cdc' },
  }
  let random = 17
  const next = () => {
    random = (Math.imul(random, 1103515245) + 12345) >>> 0
    return random >>> 8
  }
  let writing = true
  let transactions = 0

  try {
    await sql(tables)
    const writer = (async () => {
      while (writing)
        try {
          const own = await session()
          while (writing) {
            await own.query(change(next())).catch(async (error: { code?: string }) => {
              // A table that is being exchanged: the next transaction finds the new one.
              if (!error.code || error.code.startsWith('57')) throw error
              await own.query('rollback')
            })
            transactions++
            await pause(5)
          }
          await own.end()
        } catch {
          await pause(50)
        }
    })()
    const outputs: string[] = []
    for (const [round, statements] of alterations.entries()) {
      let reader = startReader(sync)
      await pause(1000 + (next() % 1500))
      if (round === 1 || round === 5) {
        await server.stop('immediate')
        await pause(200)
        server = await start()
        // A run that could not even begin has ended its process.
        outputs.push(await reader.kill())
        reader = startReader(sync)
      }
      if (statements) await sql(statements)
      // Every other time somewhere in the middle, else behind a run that went to its end.
      if (round % 2 === 0) await pause(next() % 1500)
      else await reader.finishesOne()
      outputs.push(await reader.kill())
      if (round === alterations.length - 1)
        for (let left = 50; ; left--)
          try {
            await sql('select pg_drop_replication_slot(slot_name) from pg_replication_slots')
            break
          } catch (error) {
            if (left === 0) throw error
            await pause(100)
          }
    }
    writing = false
    await writer
    const lost: string[] = []
    // On a machine of its own they are more than four; on a busy one a run takes half a minute.
    expect(outputs.join('').split('\n').length).toBeGreaterThan(1)
    const run = await runSync(sync, {
      report: (told) => told.kind === 'resyncing' && lost.push(`${told.stream} ${told.error.code}`),
    })
    const errors = outputs
      .flatMap((output) => output.split('\n').slice(0, -1))
      .flatMap((line) => JSON.parse(line).errors as { remedy: string; code: string; message: string }[])

    expect(run.streams.map(({ error }) => error).filter(Boolean)).toEqual([])
    expect(lost.sort()).toEqual(
      ['accounts', 'moves', 'stock'].map((table) => `main.shop.${table} source.position_lost`),
    )
    // What an alteration overtakes ends its run; the next one knows the table as it is.
    const overtaken = ['source.object_missing', 'source.rewritten', 'table.type_changed']
    expect(errors.filter(({ remedy, code }) => remedy !== 'retry' && !overtaken.includes(code))).toEqual([])
    expect(transactions).toBeGreaterThan(30)
    const compared = await compareSync(sync)
    expect(compared.flatMap(({ table, differences }) => differences.map((each) => `${table}: ${each}`))).toEqual([])
    expect(compared.length).toBe(4)
  } finally {
    writing = false
    await server.stop()
    await lakehouse.remove()
    rmSync(server.dataFolder, { recursive: true, force: true })
    rmSync(folder, { recursive: true, force: true })
  }
}, 600_000)
