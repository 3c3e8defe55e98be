import { mkdtemp, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { diskQueue } from '../shared/queue/disk.ts'

export const about = 'the log on disk: MB/s appended and acknowledged after fsync, beside what the disk takes'

const totalBytes = Number(process.env.BENCH_MB ?? 1024) * 1e6
const rounds = 3
const sizes = { '128k': 128 * 1024, '1m': 1024 * 1024 }
const senders = 32

/** Rounds of the disk and of the log take turns, so that both see the same machine; each figure is a median. */
export async function run(): Promise<Record<string, number>> {
  const folder = await mkdtemp(join(process.env.BENCH_FOLDER ?? process.cwd(), '.lakeflow-bench-'))
  try {
    const results: Record<string, number>[] = []
    for (let round = 0; round < rounds; round++) {
      const result: Record<string, number> = {}
      for (const [name, bytes] of Object.entries(sizes)) {
        result[`${name}.diskMBps`] = await disk(join(folder, 'raw'), bytes * senders)
        for (const [metric, value] of Object.entries(await log(join(folder, `${round}-${name}`), bytes))) {
          result[`${name}.${metric}`] = value
        }
        result[`${name}.vsDisk`] = result[`${name}.appendMBps`]! / result[`${name}.diskMBps`]!
      }
      Object.assign(result, await small(join(folder, `${round}-small`)))
      results.push(result)
    }
    return Object.fromEntries(
      Object.keys(results[0]!).map((key) => [key, median(results.map((result) => result[key]!))]),
    )
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** The limit: what the senders have under way at once, as one block, written and fsync'd again and again. */
async function disk(file: string, blockBytes: number): Promise<number> {
  const block = noise(blockBytes)
  const handle = await open(file, 'w')
  const started = performance.now()
  for (let written = 0; written < totalBytes; written += blockBytes) {
    await handle.write(block)
    await handle.datasync()
  }
  const seconds = (performance.now() - started) / 1000
  await handle.close()
  await rm(file)
  return totalBytes / 1e6 / seconds
}

/** Many senders, each with one record under way, then one receiver that reads and deletes everything. */
async function log(folder: string, bodyBytes: number): Promise<Record<string, number>> {
  const queue = await diskQueue(folder)
  const body = noise(bodyBytes)
  const records = Math.ceil(totalBytes / bodyBytes)
  const acks: number[] = []
  let sent = 0
  const cpu = process.cpuUsage()
  const started = performance.now()
  await Promise.all(
    Array.from({ length: senders }, async (_, sender) => {
      while (sent < records) {
        const n = sent++
        const before = performance.now()
        await queue.send([{ group: `main.bench.t${sender % 4}`, header: { session: sender, n }, body }])
        acks.push(performance.now() - before)
      }
    }),
  )
  const appendSeconds = (performance.now() - started) / 1000
  const { user, system } = process.cpuUsage(cpu)
  const receiving = performance.now()
  for (let received = 0; received < records; ) {
    const batch = await queue.receive({ maxBytes: 32e6, maxRecords: 1000, visibilityMs: 60_000 })
    received += batch.length
    await queue.delete(batch.map(({ receipt }) => receipt))
  }
  const receiveSeconds = (performance.now() - receiving) / 1000
  await queue.close()
  const megabytes = (records * bodyBytes) / 1e6
  acks.sort((a, b) => a - b)
  return {
    appendMBps: megabytes / appendSeconds,
    ackP50Ms: acks[Math.floor(acks.length * 0.5)]!,
    ackP99Ms: acks[Math.floor(acks.length * 0.99)]!,
    cpuSecondsPerGb: (user + system) / 1e6 / (megabytes / 1000),
    receiveMBps: megabytes / receiveSeconds,
  }
}

/** Records of 400 bytes from 256 senders: what sharing an fsync is for. */
async function small(folder: string): Promise<Record<string, number>> {
  const queue = await diskQueue(folder)
  const body = noise(400)
  const records = 50_000
  let sent = 0
  const started = performance.now()
  await Promise.all(
    Array.from({ length: 256 }, async () => {
      while (sent++ < records) await queue.send([{ group: 'main.bench.t', header: { n: sent }, body }])
    }),
  )
  const seconds = (performance.now() - started) / 1000
  await queue.close()
  return { 'small.recordsPerSecond': records / seconds }
}

/** Bytes no disk can compress away. */
function noise(bytes: number): Uint8Array {
  const block = new Uint8Array(bytes)
  let state = 1
  for (let i = 0; i < bytes; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    block[i] = state >>> 24
  }
  return block
}

const median = (values: number[]) => values.sort((a, b) => a - b)[values.length >> 1]!
