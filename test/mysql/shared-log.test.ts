import { expect, jest, test } from '@jest/globals'
import type { ChangeStream } from '../../shared/connector/connector.ts'
import { mysql } from '../../shared/connectors/mysql/mysql.ts'
import type { Message } from '../../shared/core/change.ts'
import type { Json } from '../../shared/core/json.ts'
import { connect } from '../support/connector-run.ts'
import { compareSync, runSync, type SourceSync } from '../support/source-sync.ts'
import { tcpProxy } from '../support/tcp-proxy.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { createDatabase, numbers } from './database.ts'

jest.setTimeout(240_000)

const rowsOf = async (messages: AsyncIterable<Message<Json>>) =>
  (await Array.fromAsync(messages)).flatMap((message) => (message.op === 'upsert' ? [message.row] : []))

const names = Array.from({ length: 8 }, (_, n) => `t${n}`)

test.each(['gtid', 'file'])(
  'eight tables have the log sent once, and who was left behind comes again from its own place, by %s',
  async (cdc_position) => {
    await using database = await createDatabase()
    const lakehouse = await temporaryFolder()
    const proxy = await tcpProxy()
    proxy.use(database.config.port)
    try {
      for (const name of names)
        await database.query(`create table ${name} (id int primary key auto_increment, pad varchar(1000));
          insert into ${name} (pad) values ('first')`)
      const sync: SourceSync = {
        type: 'mysql',
        config: { ...database.config, cdc_position, host: '127.0.0.1', port: Number(new URL(proxy.url).port) },
        folder: lakehouse.folder,
        objects: names.map((source_table, n) => ({
          table: {
            source_schema: database.name,
            source_table,
            destination_schema: 'shop',
            table_configuration: { scd_type: n % 2 === 0 ? 'SCD_TYPE_1' : 'APPEND_ONLY' },
          },
        })),
        modes: Object.fromEntries(names.map((name) => [name, 'cdc'])),
      }
      const write = (rows: number) =>
        database.query(
          names.map((name) => `insert into ${name} (pad) select repeat('x', 1000) from ${numbers(1, rows)}`).join(';'),
        )
      const some = { ...sync, objects: sync.objects.slice(0, 4) }
      await runSync(sync)

      await write(20)
      expect((await runSync(some)).streams.map(({ rows }) => rows)).toEqual(Array(4).fill(20))
      await write(200)
      const before = proxy.bytesFromServer
      const run = await runSync(sync)

      // Those left behind read the first part of the log once more, together with what they share.
      expect(proxy.bytesFromServer - before).toBeLessThan(3.5 * names.length * 200 * 1000)
      expect(run.streams.map(({ error, rows }) => ({ error, rows }))).toEqual(
        names.map((_, n) => ({ error: undefined, rows: n < 4 ? 200 : 220 })),
      )
      await write(200)
      const again = proxy.bytesFromServer
      expect((await runSync(sync)).streams.map(({ rows }) => rows)).toEqual(Array(8).fill(200))
      expect(proxy.bytesFromServer - again).toBeLessThan(1.5 * names.length * 200 * 1000)
      const compared = await compareSync(sync)
      expect(compared.flatMap(({ table, differences }) => differences.map((each) => `${table}: ${each}`))).toEqual([])
    } finally {
      await proxy.close()
      await lakehouse.remove()
    }
  },
)

test('changes up to now are those of before the call, whatever was read for another table a moment ago', async () => {
  await using database = await createDatabase()
  await database.query('create table one (id int primary key); create table two (id int primary key)')
  await using source = await connect(mysql, database.config)
  const captured = ['one', 'two'].map((name) => ({ schema: database.name, name }))
  const open = async (name: string) =>
    (await source.open(`${database.name}.${name}`, 'cdc', { captured })) as ChangeStream
  const [one, two] = [await open('one'), await open('two')]
  const [first, cutoff] = [await one.head(), await two.head()]
  await database.query('insert into one values (1)')
  expect(await rowsOf(one.changes(first))).toEqual([{ id: 1 }])

  // The copy of this table holds the row, so the changes that are laid on it must as well.
  await database.query('insert into two values (2)')
  const rows = await rowsOf(two.changes(cutoff, { upToNow: true }))

  expect(rows).toEqual([{ id: 2 }])
})
