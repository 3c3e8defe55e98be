import { type ChildProcess, fork } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { startReader } from './push/reader.ts'

export const about =
  'push: raw MB/s acked after fsync and committed, ack and queryable latency, beside a bare ws socket'

/** Every figure is for the whole machine: server and producers share it. */
export interface PushBench {
  role: 'server' | 'bare' | 'producer'
  /** The bare socket decompresses what it gets. */
  decompress: boolean
  folder: string
  port: number
  sessions: number
  messageBytes: number
  encoding: 'none' | 'zstd'
  seconds: number
  /** Megabytes of JSON a second for all producers together; 0 is as fast as they can. */
  rateMBps: number
}

const seconds = Number(process.env.SECONDS ?? process.env.BENCH_SECONDS ?? 60)
const EVENT_BYTES = 402
/** What the latencies are measured at, unless that is more than the machine can carry at this time. */
const TARGET_MBPS = 150

/**
 * Of each shape: the bare socket; then overload, all that the windows let through, which gives the highest rate; then the target
 * rate, or 70 % of that highest one, which gives the latencies of a working system. SECONDS is the length of each.
 *
 * A rate counts records from the first send until a reader of the log sees the last of them, so that a backlog does not pass for
 * speed. The bare socket moves the same bytes as the server, compressed when they are, and never looks into them; a second one
 * decompresses them, on its one thread.
 */
export async function run(): Promise<Record<string, number>> {
  const cases = [
    { name: '', sessions: 4, messageBytes: 128 << 10, encoding: 'zstd' as const },
    { name: 'raw.', sessions: 4, messageBytes: 128 << 10, encoding: 'none' as const },
    { name: 'large.', sessions: 2, messageBytes: 1 << 20, encoding: 'zstd' as const },
    { name: 'small.', sessions: 16, messageBytes: 8 << 10, encoding: 'none' as const },
  ]
  const wanted = process.env.BENCH_CASES?.split(',')
  const metrics: Record<string, number> = {}
  for (const { name, ...shape } of cases) {
    const title = name.replace('.', '') || 'main'
    if (wanted && !wanted.includes(title)) continue
    const socket = (decompress: boolean) =>
      measure(`${title}, bare socket${decompress ? ' that decompresses' : ''}`, {
        ...shape,
        decompress,
        bare: true,
        rateMBps: 0,
        seconds: Math.min(seconds, 15),
      })
    const bare = await socket(false)
    const decompressing = shape.encoding === 'none' ? undefined : await socket(true)
    const served = { ...shape, decompress: false, bare: false }
    const full = await measure(`${title}, overload`, { ...served, rateMBps: 0, seconds })
    const rateMBps = Math.min(TARGET_MBPS, full.rawMBps * 0.7)
    const steady = await measure(`${title}, ${rateMBps.toFixed(0)} MB/s`, {
      ...served,
      rateMBps,
      seconds: Math.min(seconds, 30),
    })
    Object.assign(metrics, {
      [`${name}rawMBps`]: full.rawMBps,
      [`${name}recordsPerSecond`]: (full.rawMBps * 1e6) / EVENT_BYTES,
      [`${name}socketMBps`]: bare.rawMBps,
      [`${name}vsSocketLimit`]: full.rawMBps / bare.rawMBps,
      ...(decompressing && {
        [`${name}decompressingSocketMBps`]: decompressing.rawMBps,
        [`${name}vsDecompressingSocket`]: full.rawMBps / decompressing.rawMBps,
      }),
      [`${name}steadyMBps`]: rateMBps,
      [`${name}ackP50Ms`]: steady.ackP50Ms,
      [`${name}ackP99Ms`]: steady.ackP99Ms,
      [`${name}queryableP50Ms`]: steady.queryableP50Ms,
      [`${name}queryableP99Ms`]: steady.queryableP99Ms,
      [`${name}queryableMaxMs`]: steady.queryableMaxMs,
      [`${name}overloadAckP99Ms`]: full.ackP99Ms,
      [`${name}overloadQueryableP99Ms`]: full.queryableP99Ms,
      [`${name}overloadQueryableMaxMs`]: full.queryableMaxMs,
      [`${name}cpuSecondsPerGb`]: full.cpuSecondsPerGb,
      [`${name}producerCpuSecondsPerGb`]: full.producerCpuSecondsPerGb,
      [`${name}peakRssMb`]: Math.max(full.peakRssMb, steady.peakRssMb),
      [`${name}lost`]: full.lost + steady.lost,
      [`${name}duplicated`]: full.duplicated + steady.duplicated,
    })
  }
  return metrics
}

async function measure(title: string, options: Omit<PushBench, 'role' | 'folder' | 'port'> & { bare: boolean }) {
  const folder = await mkdtemp(join(process.env.BENCH_FOLDER ?? process.cwd(), '.lakeflow-bench-'))
  const { bare, ...shape } = options
  const config: PushBench = { ...shape, role: bare ? 'bare' : 'server', folder, port: 0 }
  const server = child(config)
  const timing = phases(title)
  try {
    const { port } = await said<{ port: number }>(server, 'listening')
    const reader = bare ? undefined : startReader(folder)
    const producer = child({ ...config, role: 'producer', port })
    await said(producer, 'made')
    timing.ended('start')
    const result = await said<ProducerResult>(producer, 'done')
    timing.ended('load')
    producer.send('exit')
    const seenMs = (await reader?.caughtUp(result.acked)) ?? 0
    timing.ended('until all is seen')
    const usage = said<{ cpuSeconds: number; peakRssMb: number }>(server, 'usage')
    server.send('stop')
    const { cpuSeconds, peakRssMb } = await usage
    timing.ended('stop')
    const found = (await reader?.compare(result)) ?? { lost: 0, duplicated: 0, queryableMs: [] }
    timing.ended('compare')
    const rawMb = (result.acked * EVENT_BYTES) / 1e6
    return {
      rawMBps: rawMb / (Math.max(result.endedMs, seenMs) / 1000 - result.startedMs / 1000),
      ackP50Ms: quantile(result.ackMs, 0.5),
      ackP99Ms: quantile(result.ackMs, 0.99),
      queryableP50Ms: quantile(found.queryableMs, 0.5),
      queryableP99Ms: quantile(found.queryableMs, 0.99),
      queryableMaxMs: quantile(found.queryableMs, 1),
      cpuSecondsPerGb: cpuSeconds / (rawMb / 1000),
      producerCpuSecondsPerGb: result.cpuSeconds / (rawMb / 1000),
      peakRssMb,
      lost: found.lost,
      duplicated: found.duplicated,
    }
  } finally {
    timing.end()
    if (process.env.BENCH_PROFILE) await sleep(3000)
    server.kill('SIGKILL')
    await rm(folder, { recursive: true, force: true })
  }
}

/** One line on stderr: where the wall time of a measurement went. */
function phases(title: string) {
  const parts: string[] = []
  let began = performance.now()
  return {
    ended(phase: string) {
      const now = performance.now()
      parts.push(`${phase} ${((now - began) / 1000).toFixed(1)} s`)
      began = now
    },
    end: () => console.error(`push, ${title}: ${parts.join(', ')}`),
  }
}

export interface ProducerResult {
  startedMs: number
  /** When the last record was acknowledged. */
  endedMs: number
  /** Of sending, without the making of the messages. */
  cpuSeconds: number
  /** Records. */
  acked: number
  rowsPerFrame: number
  ackMs: number[]
  sends: { frame: number; sentMs: number }[]
}

/** As `lakeflow start` runs it. */
const asStarted = ['--max-semi-space-size=8']
const profiling = process.env.BENCH_PROFILE ? ['--cpu-prof', `--cpu-prof-dir=${process.env.BENCH_PROFILE}`] : []

function child(config: PushBench): ChildProcess {
  return fork(join(import.meta.dirname, 'push/process.ts'), [JSON.stringify(config)], {
    serialization: 'advanced',
    execArgv: config.role === 'server' ? [...asStarted, ...profiling] : [],
  })
}

function said<T>(process: ChildProcess, what: string): Promise<T> {
  return new Promise((resolve, reject) => {
    process.on('message', (message: { what: string; value: T }) => {
      if (message.what === what) resolve(message.value)
    })
    process.once('exit', (code) => reject(new Error(`a process of the benchmark ended with ${code}`)))
  })
}

const quantile = (values: readonly number[], q: number) =>
  [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * q))] ?? Number.NaN
