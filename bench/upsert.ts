import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readSnapshot } from '../shared/delta/snapshot.ts'
import { openEngine } from '../shared/load/engine.ts'
import { literal } from '../shared/load/sql.ts'
import { diskStorage } from '../shared/storage/disk.ts'
import { makeChanges, makeOrders } from './upsert/data.ts'

export const about = '1,000,000 changes by key into a table of 10,000,000 rows, beside delta-rs; SCALE=0.1 for a tenth'

const ROWS = 10_000_000
const CHANGES = 1_000_000
/** What the engine may hold; the process is a little more. */
const MEMORY_MB = 700

interface Cost {
  wallMs: number
  cpuMs: number
  rssMb: number
  bytes?: number
}

/**
 * Both sides lay the same changes on copies of the same table, each in a process of its own, and must end with the same
 * rows. A plain MERGE cannot take a key twice, so delta-rs is given only the last change of each key, made beforehand.
 */
export async function run(): Promise<Record<string, number>> {
  const scale = Number(process.env.SCALE ?? 1)
  const rows = Math.round(ROWS * scale)
  const count = Math.round(CHANGES * scale)
  const folder = mkdtempSync(join(tmpdir(), 'bench-upsert-'))
  const lake = join(folder, 'lake')
  const engine = await openEngine({ scratch: join(folder, 'scratch'), memoryMb: 2000 })
  try {
    await makeOrders(lake, 'orders', rows, engine)
    const metrics: Record<string, number> = {}
    const ours: Record<string, Cost> = {}
    for (const spread of ['uniform', 'skewed'] as const) {
      await makeChanges(join(lake, 'changes'), { spread, count, rows }, engine)
      for (const side of ['ours', 'deltaRs']) cpSync(join(lake, 'orders'), join(lake, side), { recursive: true })
      const mine = mergeOurs(folder, 'ours', spread, count)
      const theirs = mergeDeltaRs(join(lake, 'deltaRs'), join(lake, 'changes', `${spread}-last.parquet`))
      await compare(lake, engine)
      for (const side of ['ours', 'deltaRs']) rmSync(join(lake, side), { recursive: true })
      ours[spread] = mine
      Object.assign(metrics, named(`${spread}.ours`, mine), named(`${spread}.deltaRs`, theirs))
    }
    for (const part of [100, 10]) {
      const few = Math.max(1, Math.round(count / part))
      await makeChanges(join(lake, 'changes'), { spread: 'skewed', count: few, rows }, engine)
      cpSync(join(lake, 'orders'), join(lake, 'ours'), { recursive: true })
      metrics[`microsPerChange.batchOf${few}`] = (mergeOurs(folder, 'ours', 'skewed', few).wallMs * 1000) / few
      rmSync(join(lake, 'ours'), { recursive: true })
    }
    const { uniform, skewed } = ours as { uniform: Cost; skewed: Cost }
    return {
      wallVsDeltaRs: uniform.wallMs / metrics['uniform.deltaRs.wallMs']!,
      'skewed.wallVsDeltaRs': skewed.wallMs / metrics['skewed.deltaRs.wallMs']!,
      peakRssMb: Math.max(uniform.rssMb, skewed.rssMb),
      uniformVsSkewed: uniform.wallMs / skewed.wallMs,
      ...metrics,
      [`microsPerChange.batchOf${count}`]: (skewed.wallMs * 1000) / count,
    }
  } finally {
    engine.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

function mergeOurs(folder: string, root: string, spread: string, count: number): Cost {
  const script = join(import.meta.dirname, 'upsert/ours.ts')
  const scratch = join(folder, 'scratch-ours')
  const args = [
    script,
    join(folder, 'lake'),
    root,
    `changes/${spread}.parquet`,
    String(count),
    scratch,
    String(MEMORY_MB),
  ]
  return costOf(execFileSync(process.execPath, args, { encoding: 'utf8' }))
}

function mergeDeltaRs(table: string, changes: string): Cost {
  const script = join(import.meta.dirname, 'upsert/delta_rs.py')
  return costOf(execFileSync(python(), [script, table, changes], { encoding: 'utf8' }))
}

const costOf = (output: string): Cost => JSON.parse(output.trim().split('\n').at(-1)!)

const named = (prefix: string, cost: Cost) =>
  Object.fromEntries(
    Object.entries(cost).flatMap(([name, value]) => (typeof value === 'number' ? [[`${prefix}.${name}`, value]] : [])),
  )

/** A Python with delta-rs, made on first use. */
function python(): string {
  const home = join(import.meta.dirname, '../node_modules/.cache/bench-python')
  const bin = join(home, 'bin')
  if (!existsSync(join(bin, 'ready'))) {
    execFileSync('python3', ['-m', 'venv', home])
    execFileSync(join(bin, 'pip'), ['install', '--quiet', 'deltalake==1.6.3', 'pyarrow'], { stdio: 'inherit' })
    execFileSync('touch', [join(bin, 'ready')])
  }
  return join(bin, 'python')
}

/** Both tables have the same rows: counted and hashed by DuckDB over the files each log names. */
async function compare(lake: string, engine: Awaited<ReturnType<typeof openEngine>>): Promise<void> {
  const sums = []
  for (const side of ['ours', 'deltaRs']) {
    const snapshot = await readSnapshot(diskStorage(lake), side)
    const files = [...snapshot!.files.values()].map(({ path }) => literal(join(lake, side, decodeURIComponent(path))))
    const [sum] = await engine.session((session) =>
      session.rows(`
        select count(*) n, count(distinct id) keys, bit_xor(hash(id, customer, status, amount, epoch_us(updated_at), note)) hash
        from read_parquet([${files.join(', ')}])`),
    )
    sums.push(`${sum!.n} rows, ${sum!.keys} keys, hash ${sum!.hash}`)
  }
  if (sums[0] !== sums[1]) throw new Error(`the tables differ: ours has ${sums[0]}, delta-rs ${sums[1]}`)
}
