import { afterEach, beforeEach, expect, test } from '@jest/globals'
import type { ChangeStream } from '../../shared/connector/connector.ts'
import { postgres } from '../../shared/connectors/postgres/postgres.ts'
import type { Message } from '../../shared/core/change.ts'
import type { Json } from '../../shared/core/json.ts'
import { connect } from '../support/connector-run.ts'
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

const rowsOf = async (messages: AsyncIterable<Message<Json>>) =>
  (await Array.fromAsync(messages)).flatMap((message) => (message.op === 'upsert' ? [message.row] : []))

const names = Array.from({ length: 8 }, (_, n) => `t${n}`)

/** Eight captured tables; those with an odd number are only added to. */
async function eight(config: object = {}): Promise<SourceSync> {
  for (const name of names)
    await database.query(`create table ${name} (id bigserial primary key, n int); insert into ${name} (n) values (0)`)
  return {
    config: { ...database.config, ...config },
    folder: lakehouse.folder,
    objects: names.map((source_table, n) => ({
      table: {
        source_schema: 'public',
        source_table,
        destination_schema: 'shop',
        table_configuration: { scd_type: n % 2 === 0 ? 'SCD_TYPE_1' : 'APPEND_ONLY' },
      },
    })),
    modes: Object.fromEntries(names.map((name) => [name, 'cdc'])),
  }
}

const writeAll = (transactions: number) =>
  database.query(
    Array.from(
      { length: transactions },
      (_, n) => `begin; ${names.map((name) => `insert into ${name} (n) values (${n})`).join(';')}; commit;`,
    ).join(''),
  )

async function differences(sync: SourceSync) {
  const compared = await compareSync(sync)
  return compared.flatMap(({ table, differences }) => differences.map((difference) => `${table}: ${difference}`))
}

const slot = async (column: string) =>
  (await database.query(`select ${column} as value from pg_replication_slots where database = current_database()`))[0]!
    .value as string

test.each(['streaming', 'sql'])('eight tables have the log decoded once, by %s', async (cdc_transport) => {
  const sync = await eight({ cdc_transport })
  await runSync(sync)
  await runSync(sync)
  await writeAll(100)
  // Version 13 does not count what it decodes.
  const hasCounts = (await serverVersion()) >= 14
  const name = await slot('slot_name')
  const decoded = async () => {
    if (!hasCounts) return 0
    const [row] = await database.query('select total_txns from pg_stat_replication_slots where slot_name = $1', [name])
    return Number(row!.total_txns)
  }
  const before = await decoded()

  const run = await runSync(sync)

  expect(run.streams.map(({ error, rows }) => ({ error, rows }))).toEqual(
    Array(8).fill({ error: undefined, rows: 100 }),
  )
  expect(await differences(sync)).toEqual([])
  // The slot was moved on, which decodes what it passes once more.
  if (hasCounts) expect((await decoded()) - before).toBeLessThanOrEqual(2 * 100 + 20)
})

/** One captured table, kept in three ways. */
async function threeWays(slotConfig?: object): Promise<SourceSync> {
  await database.query('create table t (id bigserial primary key, n int); insert into t (n) values (0)')
  return {
    config: database.config,
    folder: lakehouse.folder,
    objects: ['SCD_TYPE_1', 'SCD_TYPE_2', 'APPEND_ONLY'].map((scd_type) => ({
      table: {
        source_schema: 'public',
        source_table: 't',
        destination_table: scd_type.toLowerCase(),
        table_configuration: { scd_type },
      },
    })),
    ...(slotConfig && {
      definition: { source_configurations: [{ catalog: { postgres: { slot_config: slotConfig } } }] },
    }),
    modes: { t: 'cdc' },
  }
}

test('a table that goes to several places is captured for each of them, also when only one is read', async () => {
  const sync = await threeWays()
  const rows = async (refresh?: string[]) => {
    const run = await runSync({ ...sync, ...(refresh && { refresh }) })
    return run.streams.map(({ mode, rows, error }) => error ?? `${mode} ${rows}`)
  }
  expect(await rows()).toEqual(Array(3).fill('full 1'))
  const held = await slot('confirmed_flush_lsn::text')
  await database.query('insert into t (n) values (1)')

  expect(await rows(['scd_type_1'])).toEqual(['changes 1'])
  expect(await slot('confirmed_flush_lsn::text')).toBe(held)
  await database.query('insert into t (n) values (2)')
  expect(await rows()).toEqual(['changes 1', 'changes 2', 'changes 2'])
  expect(await slot('confirmed_flush_lsn::text')).not.toBe(held)
  expect(await rows()).toEqual(Array(3).fill('changes 0'))
})

test('the slot of a publication that has more tables follows those that are read', async () => {
  await database.query(`create publication theirs for all tables with (publish_via_partition_root = true);
    create table another (id int primary key)`)
  await database.query(`select pg_create_logical_replication_slot('their_slot', 'pgoutput')`)
  const sync = await threeWays({ slot_name: 'their_slot', publication_name: 'theirs' })
  await runSync(sync)
  const held = await slot('confirmed_flush_lsn::text')
  await database.query('insert into t (n) values (1); insert into another values (1)')

  const run = await runSync(sync)

  expect(run.streams.map(({ rows, error }) => error ?? rows)).toEqual([1, 1, 1])
  expect(await slot('confirmed_flush_lsn::text')).not.toBe(held)
})

test.each(['streaming', 'sql'])(
  'a table that fails does not stop the others, holds the slot, and comes back with its changes, each once, by %s',
  async (cdc_transport) => {
    const sync = await eight({ cdc_transport })
    await runSync(sync)
    await runSync(sync)
    const held = await slot('confirmed_flush_lsn::text')
    await database.query('alter table t3 replica identity nothing')
    for (let round = 0; round < 2; round++) {
      await writeAll(20)
      const run = await runSync(sync)
      expect(run.streams.map(({ error }) => error?.code)).toEqual(
        names.map((name) => (name === 't3' ? 'config.invalid' : undefined)),
      )
    }
    expect(await slot('confirmed_flush_lsn::text')).toBe(held)

    await database.query('alter table t3 replica identity default')
    await writeAll(20)
    const run = await runSync(sync)

    expect(run.streams.map(({ error }) => error)).toEqual(Array(8).fill(undefined))
    expect(run.streams.map(({ rows }) => rows)).toEqual(names.map((name) => (name === 't3' ? 60 : 20)))
    expect(await differences(sync)).toEqual([])
    expect(await slot('confirmed_flush_lsn::text')).not.toBe(held)
  },
)

test.each(['streaming', 'sql'])(
  'changes up to now are those of before the call, whatever was read for another table a moment ago, by %s',
  async (cdc_transport) => {
    await database.query('create table one (id int primary key); create table two (id int primary key)')
    await using source = await connect(postgres, { ...database.config, cdc_transport })
    const captured = ['one', 'two'].map((name) => ({ schema: 'public', name }))
    const open = async (name: string) => (await source.open(`public.${name}`, 'cdc', { captured })) as ChangeStream
    const [one, two] = [await open('one'), await open('two')]
    const [first, cutoff] = [await one.head(), await two.head()]
    await database.query('insert into one values (1)')
    expect(await rowsOf(one.changes(first))).toEqual([{ id: 1 }])

    // The copy of this table holds the row, so the changes that are laid on it must as well.
    await database.query('insert into two values (2)')
    const rows = await rowsOf(two.changes(cutoff, { upToNow: true }))

    expect(rows).toEqual([{ id: 2 }])
  },
)
