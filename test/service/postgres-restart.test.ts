import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, jest, test } from '@jest/globals'
import pg from 'pg'
import { freePort } from '../../local/embedded-postgres.ts'
import type { ChangeStream } from '../../shared/connector/connector.ts'
import { postgres } from '../../shared/connectors/postgres/postgres.ts'
import { connect } from '../support/connector-run.ts'
import { startTestServer } from '../support/postgres-server.ts'
import { Replica } from '../support/replica.ts'

jest.setTimeout(120_000)

test('through crashes and restarts of the server, and log that it throws away, no change is lost', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'lakeflow-restart-'))
  const port = await freePort()
  const start = (settings = {}) => startTestServer({ dataFolder: join(folder, 'data'), port, settings })
  let server = await start()
  const sql = async (text: string) => {
    const client = new pg.Client({ connectionString: server.url })
    await client.connect()
    const { rows } = (await client.query(text)) as pg.QueryResult
    await client.end()
    return rows
  }
  const settings = {
    host: server.host,
    port,
    database: 'postgres',
    user: server.user,
    password: server.password,
    sslmode: 'disable',
  }
  const open = async (source: Awaited<ReturnType<typeof connect>>) =>
    (await source.open('public.t', 'cdc', { owner: 'restart' })) as ChangeStream
  const wanted = () => sql('select id::text, v::text from t order by t.id')
  const found = (replica: Replica) => replica.sorted().sort((a, b) => Number(a.id) - Number(b.id))
  try {
    await sql('create table t (id int primary key, v int); insert into t select i, i from generate_series(1, 100) i')
    await using source = await connect(postgres, settings)
    const stream = await open(source)
    const replica = new Replica(stream)
    await replica.load()

    for (let round = 1; round <= 3; round++) {
      await sql(
        `insert into t values (${1000 + round}, 0); update t set v = v + 1 where id <= 50; delete from t where id = ${50 + round}`,
      )
      const reading = replica.follow(stream, round === 2 ? 20 : undefined).catch((error: { remedy: string }) => error)
      await server.stop('immediate')
      const failed = await reading
      if (failed) expect(failed).toMatchObject({ remedy: 'retry' })
      server = await start()
    }
    await replica.follow(stream)
    expect(found(replica)).toEqual(await wanted())

    // A slot that falls behind further than the server allows is lost, and says so.
    await server.stop()
    server = await start({ max_slot_wal_keep_size: '1MB', wal_keep_size: '0', max_wal_size: '32MB' })
    for (let n = 0; n < 6; n++)
      await sql('insert into t values (5000, 1); delete from t where id = 5000; select pg_switch_wal(); checkpoint')
    await expect(replica.follow(stream)).rejects.toMatchObject({ code: 'source.position_lost', remedy: 'resync' })
    await replica.load()
    await replica.follow(stream)
    expect(found(replica)).toEqual(await wanted())
  } finally {
    await server.stop()
    rmSync(server.dataFolder, { recursive: true, force: true })
    rmSync(folder, { recursive: true, force: true })
  }
})

test('a second server on a taken port is told so', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'lakeflow-port-'))
  const server = await startTestServer({ dataFolder: join(folder, 'one') })
  try {
    await expect(startTestServer({ dataFolder: join(folder, 'two'), port: server.port })).rejects.toMatchObject({
      code: 'local.port_in_use',
    })
  } finally {
    await server.stop()
    rmSync(folder, { recursive: true, force: true })
  }
})
