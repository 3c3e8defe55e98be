import type { Account } from '../../test/rehearsal/account.ts'
import type { LambdaHost } from '../../test/rehearsal/lambda-host.ts'
import type { FunctionWork, Work } from '../cost/model.ts'

/** What functions did in these invocations, by name. */
export function functionWork(account: Account, log: LambdaHost['log']): Work['functions'] {
  const functions: Record<string, FunctionWork> = {}
  for (const { name, cpuMs, calls } of log) {
    const { memoryMb } = account.functions.find((spec) => spec.name === name)!
    functions[name] ??= { memoryMb, invocations: 0, cpuMs: 0, calls: {} }
    const work = functions[name]!
    work.invocations += 1
    work.cpuMs += cpuMs
    for (const [kind, more] of Object.entries(calls)) {
      const { count, kilobytes, chunks } = work.calls[kind] ?? { count: 0, kilobytes: 0, chunks: 0 }
      work.calls[kind] = {
        count: count + more.count,
        kilobytes: kilobytes + more.kilobytes,
        chunks: chunks + more.chunks,
      }
    }
  }
  return functions
}

/** Cold start and peak memory of each function: `coldStartMs.<function>`, `peakMb.<function>`. */
export function functionMetrics(hosts: readonly LambdaHost[], prefix: string): Record<string, number> {
  const metrics: Record<string, number> = {}
  const log = hosts.flatMap((host) => host.log)
  for (const name of new Set(log.map((entry) => entry.name))) {
    const entries = log.filter((entry) => entry.name === name)
    const cold = entries.map(({ coldStartMs }) => coldStartMs).filter((ms) => ms > 0)
    const short = name.slice(prefix.length)
    metrics[`coldStartMs.${short}`] = cold.sort((a, b) => a - b)[cold.length >> 1]!
    metrics[`peakMb.${short}`] = Math.max(...entries.map(({ maxRssMb }) => maxRssMb))
  }
  return metrics
}
