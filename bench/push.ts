import { type ChildProcess, fork } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parquetReadObjects } from 'hyparquet'

export const about =
  'push: raw MB/s acked after fsync and committed, ack and queryable latency, beside a bare ws socket'

/** Every figure is for the whole machine: server and producers share it. */
export interface PushBench {
  role: 'server' | 'bare' | 'producer'
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
 * speed.
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
    if (wanted && !wanted.includes(name.replace('.', '') || 'main')) continue
    const bare = await measure({ ...shape, bare: true, rateMBps: 0, seconds: Math.min(seconds, 15) })
    const full = await measure({ ...shape, bare: false, rateMBps: 0, seconds })
    const rateMBps = Math.min(TARGET_MBPS, full.rawMBps * 0.7)
    const steady = await measure({ ...shape, bare: false, rateMBps, seconds: Math.min(seconds, 30) })
    Object.assign(metrics, {
      [`${name}rawMBps`]: full.rawMBps,
      [`${name}recordsPerSecond`]: (full.rawMBps * 1e6) / EVENT_BYTES,
      [`${name}socketMBps`]: bare.rawMBps,
      [`${name}vsSocketLimit`]: full.rawMBps / bare.rawMBps,
      [`${name}steadyMBps`]: rateMBps,
      [`${name}ackP50Ms`]: steady.ackP50Ms,
      [`${name}ackP99Ms`]: steady.ackP99Ms,
      [`${name}queryableP50Ms`]: steady.queryableP50Ms,
      [`${name}queryableP99Ms`]: steady.queryableP99Ms,
      [`${name}overloadAckP99Ms`]: full.ackP99Ms,
      [`${name}overloadQueryableP99Ms`]: full.queryableP99Ms,
      [`${name}cpuSecondsPerGb`]: full.cpuSecondsPerGb,
      [`${name}producerCpuSecondsPerGb`]: full.producerCpuSecondsPerGb,
      [`${name}peakRssMb`]: Math.max(full.peakRssMb, steady.peakRssMb),
      [`${name}lost`]: full.lost + steady.lost,
      [`${name}duplicated`]: full.duplicated + steady.duplicated,
    })
  }
  return metrics
}

async function measure(options: Omit<PushBench, 'role' | 'folder' | 'port'> & { bare: boolean }) {
  const folder = await mkdtemp(join(process.env.BENCH_FOLDER ?? process.cwd(), '.lakeflow-bench-'))
  const { bare, ...shape } = options
  const config: PushBench = { ...shape, role: bare ? 'bare' : 'server', folder, port: 0 }
  const server = child(config)
  try {
    const { port } = await said<{ port: number }>(server, 'listening')
    const reader = bare ? undefined : startReader(folder)
    const producer = child({ ...config, role: 'producer', port })
    const result = await said<ProducerResult>(producer, 'done')
    producer.send('exit')
    const seenMs = (await reader?.caughtUp(result.acked)) ?? 0
    const usage = said<{ cpuSeconds: number; peakRssMb: number }>(server, 'usage')
    server.send('stop')
    const { cpuSeconds, peakRssMb } = await usage
    const found = (await reader?.compare(result)) ?? { lost: 0, duplicated: 0, queryableMs: [] }
    const rawMb = (result.acked * EVENT_BYTES) / 1e6
    return {
      rawMBps: rawMb / (Math.max(result.endedMs, seenMs) / 1000 - result.startedMs / 1000),
      ackP50Ms: quantile(result.ackMs, 0.5),
      ackP99Ms: quantile(result.ackMs, 0.99),
      queryableP50Ms: quantile(found.queryableMs, 0.5),
      queryableP99Ms: quantile(found.queryableMs, 0.99),
      cpuSecondsPerGb: cpuSeconds / (rawMb / 1000),
      producerCpuSecondsPerGb: result.cpuSeconds / (rawMb / 1000),
      peakRssMb,
      lost: found.lost,
      duplicated: found.duplicated,
    }
  } finally {
    if (process.env.BENCH_PROFILE) await sleep(3000)
    server.kill('SIGKILL')
    await rm(folder, { recursive: true, force: true })
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

function child(config: PushBench): ChildProcess {
  return fork(join(import.meta.dirname, 'push/process.ts'), [JSON.stringify(config)], {
    serialization: 'advanced',
    ...(process.env.BENCH_PROFILE && config.role === 'server'
      ? { execArgv: ['--cpu-prof', `--cpu-prof-dir=${process.env.BENCH_PROFILE}`] }
      : {}),
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

/**
 * Polls the log and notes when each file became visible. Afterwards the ids are read from the files with hyparquet, a reader
 * of another make, and matched: the n-th time a message is in the table is the n-th time it was sent.
 */
function startReader(folder: string) {
  const root = join(folder, 'lake/main/bench/events')
  const files: { path: string; rows: number; seenMs: number }[] = []
  let rows = 0
  let stopping = false
  const running = poll()

  async function poll() {
    for (let version = 0; !stopping; ) {
      const path = join(root, '_delta_log', `${String(version).padStart(20, '0')}.json`)
      if (!existsSync(path)) {
        await sleep(5)
        continue
      }
      version++
      const seenMs = Date.now()
      for (const line of (await readFile(path, 'utf8')).trim().split('\n')) {
        const { add } = JSON.parse(line) as { add?: { path: string; stats: string } }
        if (!add) continue
        const { numRecords } = JSON.parse(add.stats) as { numRecords: number }
        rows += numRecords
        files.push({ path: join(root, decodeURIComponent(add.path)), rows: numRecords, seenMs })
      }
    }
  }

  return {
    /** When the last of so many rows became visible. */
    async caughtUp(wanted: number): Promise<number> {
      for (const started = Date.now(); rows < wanted && Date.now() - started < 120_000; ) await sleep(20)
      stopping = true
      await running
      return files.at(-1)?.seenMs ?? 0
    },

    async compare({ sends, rowsPerFrame }: ProducerResult) {
      const counts = new Map<string, number>()
      const firsts = new Map<number, number[]>()
      for (const { path, seenMs } of files) {
        for (const [frame, row] of await idsOf(path)) {
          const key = `${frame}/${row}`
          counts.set(key, (counts.get(key) ?? 0) + 1)
          if (row === 0) firsts.set(frame, [...(firsts.get(frame) ?? []), seenMs])
        }
      }
      const wanted = Map.groupBy(sends, ({ frame }) => frame)
      let lost = 0
      let duplicated = 0
      const queryableMs: number[] = []
      for (const [frame, sent] of wanted) {
        for (let row = 0; row < rowsPerFrame; row++) {
          const found = counts.get(`${frame}/${row}`) ?? 0
          lost += Math.max(0, sent.length - found)
          duplicated += Math.max(0, found - sent.length)
        }
        const sentMs = sent.map((send) => send.sentMs).sort((a, b) => a - b)
        for (const [i, seenMs] of (firsts.get(frame) ?? []).sort((a, b) => a - b).entries())
          if (sentMs[i] !== undefined) queryableMs.push(seenMs - sentMs[i])
      }
      return { lost, duplicated, queryableMs }
    },
  }
}

async function idsOf(path: string): Promise<[number, number][]> {
  const bytes = await readFile(path)
  const file = {
    byteLength: bytes.byteLength,
    slice: (start: number, end?: number) => new Uint8Array(bytes.subarray(start, end)).buffer,
  }
  const rows = (await parquetReadObjects({ file, columns: ['frame', 'row'] })) as { frame: bigint; row: bigint }[]
  return rows.map(({ frame, row }) => [Number(frame), Number(row)])
}
