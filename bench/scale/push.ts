import { type Random, seeded } from '../columnar/data.ts'
import { dynamodb, s3Get, s3Put, sample, sqsSend } from './latency.ts'

/** One table under a steady stream of events. Sizes in MB of raw JSON, times in seconds. */
export interface PushLoad {
  mbPerSecond: number
  seconds: number
  /** Most that one file is made of. */
  fileMb: number
  flushSeconds: number
  flushConcurrency: number
  /** Processor time of flush-events for a raw MB, on one vCPU. */
  flushSecondsPerMb: number
  /** Announcements that one commit takes. */
  filesPerCommit: number
}

export interface PushOutcome {
  /** Most that waited in the events queue, and in files without a commit, in raw MB. */
  queuedMb: number
  uncommittedMb: number
  /** What waited in the last tenth of the time over what waited in the first half: above 1.2 it grows. */
  growth: number
  commitsPerSecond: number
  queryableP50: number
  queryableP99: number
  busiestFlushes: number
}

const STEP = 0.05

/**
 * Steps through the events queue, the flushes beside each other and the one commit at a time of a table. Lambda's pollers
 * begin with 5 batches at a time and get 300 more a minute, up to the concurrency that is set.
 */
export function simulatePush(load: PushLoad): PushOutcome {
  const random = seeded(7)
  const queue: { mb: number; at: number }[] = []
  const flushes: { until: number; mb: number; oldest: number }[] = []
  const files: { mb: number; oldest: number }[] = []
  let commit: { until: number; files: { mb: number; oldest: number }[] } | undefined
  let commits = 0
  let busiestFlushes = 0
  const depth: number[] = []
  const uncommitted: number[] = []
  const lags: number[] = []

  for (let now = 0; now < load.seconds; now += STEP) {
    queue.push({ mb: load.mbPerSecond * STEP, at: now })
    const pollers = Math.min(load.flushConcurrency, 5 + 5 * now)
    let waiting = total(queue)
    while (flushes.length < pollers && queue.length > 0) {
      const due = waiting >= load.fileMb || now - queue[0]!.at >= load.flushSeconds
      if (!due) break
      const batch = takeUpTo(queue, load.fileMb)
      waiting -= batch.mb
      flushes.push({ ...batch, until: now + flushTime(batch.mb, load, random) })
    }
    busiestFlushes = Math.max(busiestFlushes, flushes.length)
    for (let i = flushes.length - 1; i >= 0; i--)
      if (flushes[i]!.until <= now) files.push(...flushes.splice(i, 1).map(({ mb, oldest }) => ({ mb, oldest })))
    if (commit && commit.until <= now) {
      lags.push(...commit.files.map(({ oldest }) => now - oldest))
      commits += 1
      commit = undefined
    }
    if (!commit && files.length > 0)
      commit = { files: files.splice(0, load.filesPerCommit), until: now + commitTime(random) }
    depth.push(total(queue))
    uncommitted.push(total(files) + total(commit?.files ?? []))
  }
  lags.sort((a, b) => a - b)
  const all = depth.map((mb, i) => mb + uncommitted[i]!)
  return {
    queuedMb: Math.max(...depth),
    uncommittedMb: Math.max(...uncommitted),
    growth: mean(all.slice(-all.length / 10)) / mean(all.slice(all.length / 4, all.length / 2)),
    commitsPerSecond: commits / load.seconds,
    queryableP50: lags[lags.length >> 1] ?? Number.POSITIVE_INFINITY,
    queryableP99: lags[Math.floor(lags.length * 0.99)] ?? Number.POSITIVE_INFINITY,
    busiestFlushes,
  }
}

/** The largest steady load that one table takes without a growing queue, in MB/s. */
export function highestLoad(load: Omit<PushLoad, 'mbPerSecond'>): number {
  let [low, high] = [1, 20_000]
  while (high - low > 10) {
    const mbPerSecond = (low + high) / 2
    const { growth, queryableP99 } = simulatePush({ ...load, mbPerSecond })
    if (growth < 1.2 && queryableP99 < 30) low = mbPerSecond
    else high = mbPerSecond
  }
  return low
}

/** Reads its objects beside each other, encodes, writes one file in parts and a copy of the events, announces it. */
const flushTime = (mb: number, load: PushLoad, random: Random) =>
  sample(s3Get, random) * 3 + mb * load.flushSecondsPerMb + sample(s3Put, random) * 2 + sample(sqsSend, random)

/** Reads what is new of the log, takes the lease, writes the version, notes the ranges. */
const commitTime = (random: Random) =>
  0.05 + sample(s3Get, random) * 2 + sample(s3Put, random) + sample(dynamodb, random) * 4

function takeUpTo(queue: { mb: number; at: number }[], most: number): { mb: number; oldest: number } {
  const oldest = queue[0]!.at
  let mb = 0
  while (queue.length > 0 && mb + queue[0]!.mb <= most) mb += queue.shift()!.mb
  // A step may bring more than one batch: it is taken in parts.
  if (queue.length > 0 && mb < most) {
    queue[0]!.mb -= most - mb
    mb = most
  }
  return { mb, oldest }
}

const total = (parts: readonly { mb: number }[]) => parts.reduce((sum, { mb }) => sum + mb, 0)
const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length)
