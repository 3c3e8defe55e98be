import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import type { Session } from '../../shared/load/engine.ts'
import { literal } from '../../shared/load/sql.ts'
import { pythonEnvironment } from '../support/python.ts'

export interface DeltaRsTable {
  version: number
  rows: number
  columns: string[]
  /** Add actions with statistics, flattened: `num_records`, `min.id`, `max.id`, `null_count.id`. */
  files: Record<string, unknown>[]
  readerVersion: number
  transactions: Record<string, number | null>
}

const packages = 'deltalake==1.6.6\npyarrow==26.0.1\n'
const script = join(import.meta.dirname, 'delta_rs.py')

/** Where Python with delta-rs is, made on the first call. */
export const deltaRsPrograms = () => pythonEnvironment('interop', packages)

/** Reads a table with delta-rs; its rows are then in the Parquet file `out`. */
export const deltaRsRead = (table: string, out: string, version?: number): DeltaRsTable =>
  call(['read', table, out, ...(version === undefined ? [] : [String(version)])], '') as DeltaRsTable

/** Runs Python with `table`, `dl` (deltalake), `pa` (pyarrow) in scope; returns what it leaves in `result`. */
export const deltaRsRun = (table: string, code: string): unknown => call(['run', table], code)

/** How many rows one SELECT has more than the other, each way. */
export async function difference(session: Session, ours: string, theirsFile: string): Promise<[number, number]> {
  const theirs = `select * from read_parquet(${literal(theirsFile)})`
  const [row] = await session.rows(
    `select (select count(*) from (${ours} except all ${theirs})) as ours, (select count(*) from (${theirs} except all ${ours})) as theirs`,
  )
  return [Number(row!.ours), Number(row!.theirs)]
}

function call(args: readonly string[], input: string): unknown {
  const { status, stdout, stderr } = spawnSync(join(deltaRsPrograms(), 'python'), [script, ...args], {
    input,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  })
  if (status !== 0) throw new Error(`delta-rs failed: ${stderr.trim().split('\n').slice(-8).join('\n')}`)
  return JSON.parse(stdout)
}
