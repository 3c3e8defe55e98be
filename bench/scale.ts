import { highestLoad, type PushLoad, simulatePush } from './scale/push.ts'
import { bindsFirst, pullQuotas, pushQuotas, type Quota } from './scale/quotas.ts'

export const about = 'on paper: 1 GB/s into one table and 10,000 pipelines in AWS; which quota binds, how queues behave'

/** From `bench -- lambda`: what a raw byte becomes compressed, the raw MB of a posted frame, and what the functions take. */
const measured = { compressed: 0.2, frameMb: 1.7, flushSecondsPerMb: 0.012, receiveSeconds: 0.13 }

const load: Omit<PushLoad, 'mbPerSecond'> = {
  seconds: 600,
  // functions/flush-events: 16 MB compressed become one file.
  fileMb: 16 / measured.compressed,
  flushSeconds: 2,
  flushConcurrency: 1000,
  flushSecondsPerMb: measured.flushSecondsPerMb,
  filesPerCommit: 10,
}

export async function run(): Promise<Record<string, number>> {
  const push = pushQuotas({ mbPerSecond: 1000, ...measured })
  const pull = pullQuotas(10_000, 5, 20, 1)
  const spread = pullQuotas(10_000, 5, 20, 30)
  tell('1 GB/s of raw events into one table', push)
  tell('10,000 pipelines of 5 streams, all due in the same minute', pull)
  tell('the same with scheduleWindowMinutes: 30', spread)
  const steady = simulatePush({ ...load, mbPerSecond: 100 })
  const large = simulatePush({ ...load, mbPerSecond: 1000 })
  return {
    ...named('push100', steady),
    ...named('push1000', large),
    highestMbPerSecondOneTable: highestLoad(load),
    'push1000.quotaUsed': usedOf(bindsFirst(push)),
    'pipelines10000.quotaUsed': usedOf(bindsFirst(pull)),
    'pipelines10000.spreadQuotaUsed': usedOf(bindsFirst(spread)),
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
