import { spawnSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sessionOn } from '../test/mysql/database.ts'
import { startServer } from '../test/mysql/server.ts'
import { lagOf, startReader } from './cdc/reader.ts'

export const about = 'changes of MariaDB by its binary log, beside mariadb-binlog reading the same log to nothing'

const CHANGES = Number(process.env.BENCH_ROWS ?? 300_000)

/** Inserts and updates of a table of ten columns, in transactions of 1,000; read by a process of its own. */
export async function run(): Promise<Record<string, number>> {
  const folder = await mkdtemp(join(tmpdir(), 'lakeflow-bench-'))
  await using server = await startServer(['--innodb-flush-log-at-trx-commit=0', '--max-binlog-size=1G'], 'mariadb')
  try {
    const client = await sessionOn(server.config)
    await client.query(`create database bench; use bench;
      create table events (id bigint primary key, customer int not null, kind varchar(20) not null, amount decimal(12,2),
        at timestamp(6) not null, day date, flag boolean, score double, note text, payload json)`)
    const reader = await startReader('mysql', { ...server.config, database: 'bench' }, 'bench', folder)
    await client.query('flush binary logs')
    const [status] = (await client.query('show master status'))[0] as { File: string }[]
    for (let done = 0; done < CHANGES; done += 1000)
      await client.query(done % 3000 === 0 && done > 0 ? update(done) : insert(done))
    const read = await reader.sync()
    const decodingSeconds = mariadbBinlog(server.config, status!.File)
    const lag = await lagOf(reader, (n) => client.query(insert(CHANGES + n * 10, 10)))
    await reader.stop()
    await client.end()
    return {
      'mariadb.changesPerCpuSecond': read.changes / read.cpuSeconds,
      'mariadb.changesPerSecond': read.changes / read.wallSeconds,
      'mariadb.vsDecoding': read.wallSeconds / decodingSeconds,
      'mariadb.peakRssMb': read.peakRssMb,
      ...lag,
      changes: read.changes,
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Seconds in which the server's own reader decodes the rows of the log and throws them away. */
function mariadbBinlog(config: { host: string; port: number; user: string; password: string }, file: string): number {
  const started = performance.now()
  const { status, stderr } = spawnSync(
    '/usr/bin/mariadb-binlog',
    [
      '--no-defaults',
      '--read-from-remote-server',
      '--verbose',
      '--base64-output=decode-rows',
      '--result-file=/dev/null',
      `--host=${config.host}`,
      `--port=${config.port}`,
      `--user=${config.user}`,
      `--password=${config.password}`,
      file,
    ],
    { encoding: 'utf8' },
  )
  if (status !== 0) throw new Error(`mariadb-binlog ended with ${status}: ${stderr}`)
  return (performance.now() - started) / 1000
}

const insert = (
  from: number,
  rows = 1000,
) => `insert into events select seq, seq % 1000, concat('kind ', seq % 7), seq * 1.25, now(6), current_date, seq % 2 = 0, sqrt(seq),
  concat('a note of ordinary length, number ', seq), json_object('n', seq, 'tags', json_array('a', 'b')) from seq_${from + 1}_to_${from + rows}`
const update = (upTo: number) =>
  `update events set amount = amount + 1, flag = not flag where id between ${upTo - 1999} and ${upTo - 1000}`
