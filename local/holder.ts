import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { systemRandom } from '../shared/core/random.ts'
import type { Holder } from '../shared/state/leases.ts'

/** This process as the holder of leases. */
export function thisHolder(): Holder {
  const owner = [encodeURIComponent(hostname()), process.pid, startOf(process.pid) ?? '', systemRandom.uuid()].join('/')
  return { owner, who: `process ${process.pid} on ${hostname()}` }
}

/**
 * True when the holder was a process of this machine that is gone, so that after a crash nobody waits for its lease to
 * expire. A process of another machine, or of another container with the same name, is never called dead by its number alone.
 */
export function isDeadHere({ owner }: Holder): boolean {
  const [host, pid, start] = owner.split('/')
  if (host !== encodeURIComponent(hostname()) || !/^\d+$/.test(pid ?? '')) return false
  try {
    process.kill(Number(pid), 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH'
  }
  const now = startOf(Number(pid))
  return start !== '' && now !== undefined && now !== start
}

/** When a process began, in ticks since boot: tells a process from a later one with its number. Linux only. */
function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
  } catch {
    return undefined
  }
}
