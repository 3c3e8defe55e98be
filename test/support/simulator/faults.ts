import { type Clock, systemClock } from '../../../shared/core/clock.ts'
import type { Fault, Simulator } from './server.ts'

/** A clock on which nobody waits long: what is tested is that it is waited for at all. */
export const hurriedClock: Clock = {
  now: systemClock.now,
  sleep: (ms, signal) => systemClock.sleep(Math.min(ms, 2), signal),
}

const faults: Readonly<Record<string, Fault>> = {
  throttling: { status: 429, headers: { 'retry-after': '1' } },
  'server errors': { status: 503, text: '<html>Service Unavailable</html>' },
  'connections that are reset': 'reset',
  'bodies that break off': 'cut',
  'bodies that lack their end': 'half',
  'pages of a proxy': 'garbage',
}

/** Names of what `passingFaults` gives. */
export const faultNames = Object.keys(faults)
export const tokenFault = 'tokens that expire'

/**
 * Passing faults of any HTTP source, for `ConnectorWorld.faults`: each makes every third request fail. `expire` makes the
 * source refuse the tokens it has given so far, at every fifth.
 */
export function passingFaults(simulator: Simulator, expire?: () => void): Record<string, () => void> {
  const at =
    (fault: () => Fault | undefined, every = 3) =>
    () => {
      simulator.fault = (_, number) => (number % every === 1 ? fault() : undefined)
    }
  return {
    ...Object.fromEntries(Object.entries(faults).map(([name, fault]) => [name, at(() => fault)])),
    ...(expire && {
      [tokenFault]: at(() => {
        expire()
        return undefined
        // A new token must last for the request that asked for it.
      }, 5),
    }),
  }
}
