import { execFileSync, spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { build } from 'esbuild'
import { dataSets, generate } from './columnar/data.ts'

export const about = 'JSON and COPY bytes to Parquet on one core, beside DuckDB and the JavaScript writers'

const FULL_BYTES = 128 << 20
/** Slow contenders get the beginning of the data: their speed does not depend on its length. */
const PART_BYTES = 8 << 20
const slow = ['rows', 'parquet-wasm', 'hyparquet-writer', '@dsnp/parquetjs', 'parquetjs-lite']
const RUNS = 3

const runs: Record<string, readonly string[]> = {
  events: ['ours', 'validate', 'duckdb', ...slow, 'JSON.parse', 'memcpy'],
  lineitem: ['ours', 'duckdb', 'JSON.parse'],
  copy: ['ours', 'duckdb'],
  wide: ['ours', 'duckdb', 'JSON.parse'],
  strings: ['ours', 'duckdb', 'JSON.parse'],
}

interface Result {
  mbps: number
  peakRssMb: number
  /** Size of the output for each byte of input. */
  outputRatio: number
}

/** Medians over fresh processes, each pinned to one core where the machine can. */
export async function run(): Promise<Record<string, number>> {
  const folder = mkdtempSync(join(tmpdir(), 'lakeflow-bench-'))
  const results: Record<string, Record<string, Result>> = {}
  const measure = await bundle('measure')
  try {
    for (const [set, names] of Object.entries(runs)) {
      const full = join(folder, `${set}.full`)
      const part = join(folder, `${set}.part`)
      const bytes = generate(dataSets[set]!, FULL_BYTES)
      writeFileSync(full, bytes)
      writeFileSync(part, bytes.subarray(0, bytes.lastIndexOf(10, PART_BYTES) + 1))
      // In turn, so that what else the machine does falls on all of them.
      const rounds = Array.from({ length: RUNS }, () =>
        names.map((name) => runOnce(measure, name, set, slow.includes(name) ? part : full, join(folder, 'out'))),
      )
      results[set] = Object.fromEntries(names.map((name, i) => [name, median(rounds.map((round) => round[i]!))]))
      for (const name of names) report(set, name, results[set][name]!)
      rmSync(full)
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
  return metrics(results, startUpMs(await bundle('start-up')))
}

const root = join(import.meta.dirname, '..')

/**
 * One file of plain JavaScript, as the product ships. Node's stripping of types is a compiler of its own, which is still
 * at work on other threads when the measurement begins: it cost every contender about 80 ms of its processor time.
 */
async function bundle(name: string): Promise<string> {
  // Below node_modules, where the contenders' packages are found.
  const folder = join(root, 'node_modules/.cache/bench-columnar')
  mkdirSync(folder, { recursive: true })
  copyFileSync(join(root, 'shared/columnar/kernel.wasm'), join(folder, 'kernel.wasm'))
  const outfile = join(folder, `${name}.mjs`)
  const entryPoints = [join(import.meta.dirname, 'columnar', `${name}.ts`)]
  await build({ entryPoints, outfile, bundle: true, platform: 'node', format: 'esm', packages: 'external' })
  return outfile
}

function report(set: string, name: string, { mbps, peakRssMb, outputRatio }: Result) {
  const numbers = `${mbps.toFixed(1).padStart(9)} MB/s ${peakRssMb.toFixed(0).padStart(5)} MB peak`
  console.error(`${set.padEnd(10)}${name.padEnd(20)}${numbers}  output ${(outputRatio * 100).toFixed(1)} %`)
}

const pinned = spawnSync('taskset', ['-c', '0', 'true']).status === 0

function runOnce(measure: string, name: string, set: string, input: string, output: string): Result {
  const command = [process.execPath, measure, name, set, input, output]
  rmSync(output, { force: true })
  const [file, ...args] = pinned ? ['taskset', '-c', '0', ...command] : command
  const { seconds, peakRssMb, outputBytes } = JSON.parse(execFileSync(file!, args, { encoding: 'utf8' }))
  const bytes = statSync(input).size
  return { mbps: bytes / 1e6 / seconds, peakRssMb, outputRatio: outputBytes / bytes }
}

const median = (taken: Result[]): Result => taken.sort((a, b) => a.mbps - b.mbps)[taken.length >> 1]!

/** From a Node that has started to a finished file of one row, in a fresh process. Node's own start is not in it. */
function startUpMs(script: string): number {
  const times = Array.from({ length: 2 * RUNS + 1 }, () => {
    const parts = JSON.parse(execFileSync(process.execPath, [script], { encoding: 'utf8' })) as Record<string, number>
    console.error('start-up', parts)
    return Object.values(parts).reduce((sum, ms) => sum + ms, 0)
  })
  return times.sort((a, b) => a - b)[RUNS]!
}

function metrics(results: Record<string, Record<string, Result>>, startupMs: number): Record<string, number> {
  const of = (set: string, name: string) => results[set]![name]!
  const ratio = (set: string, name: string, ours = 'ours') => of(set, ours).mbps / of(set, name).mbps
  const sizes = (set: string) => of(set, 'ours').outputRatio / of(set, 'duckdb').outputRatio
  return {
    'events.mbps': of('events', 'ours').mbps,
    'events.vsDuckdb': ratio('events', 'duckdb'),
    'events.vsJsonParse': ratio('events', 'JSON.parse'),
    'events.vsParquetjsLite': ratio('events', 'parquetjs-lite'),
    'lineitem.mbps': of('lineitem', 'ours').mbps,
    'lineitem.vsDuckdb': ratio('lineitem', 'duckdb'),
    'copy.mbps': of('copy', 'ours').mbps,
    'copy.vsDuckdb': ratio('copy', 'duckdb'),
    'rows.mbps': of('events', 'rows').mbps,
    'rows.vsParquetjsLite': ratio('events', 'parquetjs-lite', 'rows'),
    'validate.mbps': of('events', 'validate').mbps,
    'validate.vsJsonParse': ratio('events', 'JSON.parse', 'validate'),
    'wide.mbps': of('wide', 'ours').mbps,
    'wide.vsDuckdb': ratio('wide', 'duckdb'),
    'strings.mbps': of('strings', 'ours').mbps,
    'strings.vsDuckdb': ratio('strings', 'duckdb'),
    'events.sizeVsDuckdb': sizes('events'),
    'lineitem.sizeVsDuckdb': sizes('lineitem'),
    'wide.sizeVsDuckdb': sizes('wide'),
    'strings.sizeVsDuckdb': sizes('strings'),
    peakRssMb: Math.max(...Object.values(results).map((set) => set.ours!.peakRssMb)),
    startupMs,
  }
}
