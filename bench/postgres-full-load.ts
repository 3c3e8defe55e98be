import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import pg from 'pg'
import { startEmbeddedPostgres } from '../local/embedded-postgres.ts'
import { lineitem } from './postgres-full-load/lineitem.ts'

export const about = 'TPC-H lineitem from a local PostgreSQL into Delta, beside COPY TO STDOUT to nothing'

/** Scale 1. */
const ROWS = Number(process.env.BENCH_ROWS ?? 6_001_215)
const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 3)

/** Rounds of the two take turns, each in a process of its own; each figure is a median. */
export async function run(): Promise<Record<string, number>> {
  const folder = await mkdtemp(join(process.env.BENCH_FOLDER ?? tmpdir(), 'lakeflow-bench-'))
  const server = await startEmbeddedPostgres({
    dataFolder: join(folder, 'data'),
    settings: { fsync: 'off', shared_buffers: '256MB', max_wal_size: '4GB', autovacuum: 'off' },
  })
  try {
    const client = new pg.Client({ connectionString: server.url })
    await client.connect()
    await client.query(lineitem(ROWS))
    const [size] = (await client.query(`select pg_table_size('lineitem') / 1e6 as mb`)).rows
    await client.end()

    const rounds: Record<string, number>[] = []
    for (let round = 0; round < ROUNDS; round++) {
      const copy = await measured('copy-to-nothing.ts', server)
      const load = await measured('load.ts', server, join(folder, `lakehouse-${round}`))
      await rm(join(folder, `lakehouse-${round}`), { recursive: true })
      rounds.push({
        wallVsCopy: load.wallSeconds! / copy.wallSeconds!,
        rowsPerCpuSecond: ROWS / load.cpuSeconds!,
        rowsPerSecond: ROWS / load.wallSeconds!,
        peakRssMb: load.peakRssMb!,
        loadSeconds: load.wallSeconds!,
        loadCpuSeconds: load.cpuSeconds!,
        copySeconds: copy.wallSeconds!,
        copyCpuSeconds: copy.cpuSeconds!,
      })
    }
    const medians = Object.keys(rounds[0]!).map((key) => [key, median(rounds.map((round) => round[key]!))])
    return { ...Object.fromEntries(medians), rows: ROWS, sourceMb: Number(size.mb) }
  } finally {
    await server.stop()
    await rm(server.dataFolder, { recursive: true, force: true })
    await rm(folder, { recursive: true, force: true })
  }
}

async function measured(script: string, ...args: [{ url: string }, string?]): Promise<Record<string, number>> {
  const file = join(import.meta.dirname, 'postgres-full-load', script)
  const child = spawn(process.execPath, [file, args[0].url, ...args.slice(1).map(String)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [output] = await Promise.all([text(child.stdout), once(child, 'exit')])
  if (child.exitCode !== 0) throw new Error(`${script} ended with ${child.exitCode ?? child.signalCode}`)
  return JSON.parse(output)
}

const median = (values: number[]) => values.sort((a, b) => a - b)[values.length >> 1]!
