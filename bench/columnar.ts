import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { dataSets, generate } from './columnar/data.ts'

export const about = 'JSON and COPY bytes to Parquet on one core, beside DuckDB and the JavaScript writers'

const FULL_BYTES = 128 << 20
/** Slow contenders get the beginning of the data: their speed does not depend on its length. */
const PART_BYTES = 8 << 20
const slow = ['parquet-wasm', 'hyparquet-writer', '@dsnp/parquetjs', 'parquetjs-lite']
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
  try {
    for (const [set, names] of Object.entries(runs)) {
      const full = join(folder, `${set}.full`)
      const part = join(folder, `${set}.part`)
      const bytes = generate(dataSets[set]!, FULL_BYTES)
      writeFileSync(full, bytes)
      writeFileSync(part, bytes.subarray(0, bytes.lastIndexOf(10, PART_BYTES) + 1))
      results[set] = {}
      for (const name of names) {
        results[set][name] = median(name, set, slow.includes(name) ? part : full, join(folder, 'out'))
        report(set, name, results[set][name])
      }
      rmSync(full)
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
  return metrics(results, startUpMs())
}

function report(set: string, name: string, { mbps, peakRssMb, outputRatio }: Result) {
  const numbers = `${mbps.toFixed(1).padStart(9)} MB/s ${peakRssMb.toFixed(0).padStart(5)} MB peak`
  console.error(`${set.padEnd(10)}${name.padEnd(20)}${numbers}  output ${(outputRatio * 100).toFixed(1)} %`)
}

const pinned = spawnSync('taskset', ['-c', '0', 'true']).status === 0
const measure = join(import.meta.dirname, 'columnar/measure.ts')

function median(name: string, set: string, input: string, output: string): Result {
  const bytes = readFileSync(input).length
  const taken = Array.from({ length: RUNS }, () => {
    const command = [process.execPath, '--disable-warning=ExperimentalWarning', measure, name, set, input, output]
    rmSync(output, { force: true })
    const [file, ...args] = pinned ? ['taskset', '-c', '0', ...command] : command
    const { seconds, peakRssMb, outputBytes } = JSON.parse(execFileSync(file!, args, { encoding: 'utf8' }))
    return { mbps: bytes / 1e6 / seconds, peakRssMb, outputRatio: outputBytes / bytes }
  })
  return taken.sort((a, b) => a.mbps - b.mbps)[taken.length >> 1]!
}

/** From nothing to a finished file of one row, in a fresh process. */
function startUpMs(): number {
  const code = `const t = performance.now()
    const { createBatchWriter } = await import('${join(import.meta.dirname, '../shared/columnar/batch-writer.ts')}')
    const writer = createBatchWriter({ fields: [{ name: 'a', type: { kind: 'long' }, nullable: true }] })
    writer.append(Buffer.from('{"a":1}'))
    writer.finish()
    console.log(performance.now() - t)`
  const times = Array.from({ length: RUNS }, () =>
    Number(execFileSync(process.execPath, ['--input-type=module', '-e', code], { encoding: 'utf8' })),
  )
  return times.sort((a, b) => a - b)[RUNS >> 1]!
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
