import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { startEmbeddedPostgres } from '../local/embedded-postgres.ts'
import { lagOf, startReader } from './cdc/reader.ts'

export const about = 'changes of PostgreSQL by log capture, beside the log decoded by the server and thrown away'

const CHANGES = Number(process.env.BENCH_ROWS ?? 300_000)

/** Inserts and updates of a table of ten columns, in transactions of 1,000; read by a process of its own. */
export async function run(): Promise<Record<string, number>> {
  const folder = await mkdtemp(join(tmpdir(), 'lakeflow-bench-'))
  const server = await startEmbeddedPostgres({
    dataFolder: join(folder, 'data'),
    settings: { fsync: 'off', shared_buffers: '256MB', max_wal_size: '4GB', autovacuum: 'off' },
  })
  try {
    const client = new pg.Client({ connectionString: server.url })
    await client.connect()
    await client.query(`create table events (id bigint primary key, customer int not null, kind text not null, amount numeric(12,2),
      at timestamptz not null, day date, flag boolean, score double precision, note text, payload jsonb)`)
    const url = new URL(server.url)
    const config = {
      host: url.hostname,
      port: Number(url.port),
      database: url.pathname.slice(1),
      user: url.username,
      password: url.password,
      sslmode: 'disable',
    }
    const reader = await startReader('postgres', config, 'public', folder)
    await client.query(`select pg_create_logical_replication_slot('bench_floor', 'pgoutput')`)
    await client.query('create publication bench_floor for table events')
    for (let done = 0; done < CHANGES; done += 1000)
      await client.query(done % 3000 === 0 && done > 0 ? update(done) : insert(done))

    const read = await reader.sync()
    const started = performance.now()
    await client.query(
      `select count(*) from pg_logical_slot_peek_binary_changes('bench_floor', null, null, 'proto_version', '1', 'publication_names', 'bench_floor')`,
    )
    const decodingSeconds = (performance.now() - started) / 1000
    const lag = await lagOf(reader, (n) => client.query(insert(CHANGES + n * 10, 10)))
    await reader.stop()
    await client.end()
    return {
      'postgres.changesPerCpuSecond': read.changes / read.cpuSeconds,
      'postgres.changesPerSecond': read.changes / read.wallSeconds,
      'postgres.vsDecoding': read.wallSeconds / decodingSeconds,
      'postgres.peakRssMb': read.peakRssMb,
      ...lag,
      changes: read.changes,
    }
  } finally {
    await server.stop()
    await rm(server.dataFolder, { recursive: true, force: true })
    await rm(folder, { recursive: true, force: true })
  }
}

const insert = (
  from: number,
  rows = 1000,
) => `insert into events select i, i % 1000, 'kind ' || i % 7, i * 1.25, now(), current_date, i % 2 = 0, sqrt(i),
  'a note of ordinary length, number ' || i, jsonb_build_object('n', i, 'tags', array['a', 'b']) from generate_series(${from + 1}, ${from + rows}) i`
const update = (upTo: number) =>
  `update events set amount = amount + 1, flag = not flag where id between ${upTo - 1999} and ${upTo - 1000}`
