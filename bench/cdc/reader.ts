import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

/** What one sync of the reading process took: its own CPU time alone. */
export interface Synced {
  changes: number
  wallSeconds: number
  cpuSeconds: number
  peakRssMb: number
  /** When its rows could be queried. */
  atMs: number
}

/** A process of its own that copies a table and then syncs it when told to. */
export interface Reader {
  sync(): Promise<Synced>
  stop(): Promise<void>
}

export async function startReader(type: string, config: object, schema: string, folder: string): Promise<Reader> {
  const child = spawn(
    process.execPath,
    [...process.execArgv, join(import.meta.dirname, 'read.ts'), type, JSON.stringify(config), schema, folder],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  )
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const sync = async (): Promise<Synced> => {
    child.stdin.write('sync\n')
    const { value, done } = await lines.next()
    if (done) throw new Error('the reading process has ended')
    return JSON.parse(value)
  }
  // The copy of the empty table.
  await sync()
  return {
    sync,
    async stop() {
      child.stdin.end()
      if (child.exitCode === null) await once(child, 'exit')
    },
  }
}

/** Transactions a second while the lag is measured, of ten rows each. */
const ratePerSecond = 100

/**
 * Milliseconds from a commit in the source until its rows can be queried, while runs follow each other without a pause:
 * median and 99th percentile of the transactions of ten seconds.
 */
export async function lagOf(reader: Reader, write: (n: number) => Promise<unknown>, seconds = 10) {
  const committedAtMs: number[] = []
  const lags: number[] = []
  let writing = true
  const writer = (async () => {
    const startedAt = performance.now()
    for (let n = 0; n < seconds * ratePerSecond; n++) {
      await write(n)
      committedAtMs.push(Date.now())
      const waitMs = startedAt + ((n + 1) * 1000) / ratePerSecond - performance.now()
      if (waitMs > 0) await new Promise((done) => setTimeout(done, waitMs))
    }
    writing = false
  })()
  while (writing || lags.length < committedAtMs.length) {
    const { changes, atMs } = await reader.sync()
    for (let left = changes / 10; left > 0; left--) lags.push(atMs - committedAtMs[lags.length]!)
  }
  await writer
  lags.sort((a, b) => a - b)
  const share = (part: number) => lags[Math.min(lags.length - 1, Math.floor(lags.length * part))]!
  return { lagP50Ms: share(0.5), lagP99Ms: share(0.99) }
}
