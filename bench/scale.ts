import { highestLoad, type PushLoad, simulatePush } from './scale/push.ts'
import { bindsFirst, pullQuotas, pushQuotas, type Quota } from './scale/quotas.ts'

export const about = 'on paper: 1 GB/s into one table and 10,000 pipelines in AWS; which quota binds, how queues behave'

/** From `bench -- lambda`: bytes in the queue for each raw byte, and what the functions take. */
const measured = { queuedRatio: 0.55, flushSecondsPerMb: 0.012, receiveSeconds: 0.05 }

const load: Omit<PushLoad, 'mbPerSecond'> = {
  seconds: 600,
  queuedRatio: measured.queuedRatio,
  flushSeconds: 1,
  flushConcurrency: 1000,
  flushSecondsPerMb: measured.flushSecondsPerMb,
  filesPerCommit: 10,
}

export async function run(): Promise<Record<string, number>> {
  const push = pushQuotas(1000, measured.queuedRatio, measured.receiveSeconds)
  const pull = pullQuotas(10_000, 5, 20)
  tell('1 GB/s of raw events into one table', push)
  tell('10,000 pipelines of 5 streams, all due in the same minute', pull)
  const steady = simulatePush({ ...load, mbPerSecond: 100 })
  const large = simulatePush({ ...load, mbPerSecond: 1000 })
  return {
    ...named('push100', steady),
    ...named('push1000', large),
    highestMbPerSecondOneTable: highestLoad(load),
    'push1000.quotaUsed': usedOf(bindsFirst(push)),
    'pipelines10000.quotaUsed': usedOf(bindsFirst(pull)),
  }
}

function tell(what: string, quotas: readonly Quota[]): void {
  console.error(`\n${what}`)
  for (const quota of quotas) {
    const fixed = quota.fixed ? ', cannot be raised' : ''
    const used = `${(usedOf(quota) * 100).toFixed(0)} %`.padStart(7)
    console.error(`  ${used}  ${quota.name}: ${Math.ceil(quota.need)} of ${quota.limit}${fixed}`)
  }
  console.error(`  first to bind: ${bindsFirst(quotas).name}`)
}

const usedOf = ({ need, limit }: Quota) => need / limit

const named = (prefix: string, values: object) =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [`${prefix}.${name}`, value as number]))
