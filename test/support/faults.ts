import { IngestError } from '../../shared/core/errors.ts'
import { type CrashPlan, crashing } from './crash.ts'

export interface Faults {
  /** The n-th write (from 1) takes effect, but its caller hears `unavailable`. */
  loseReplyAfterWrite?: number
  /** The n-th write does not take effect, and its caller hears `unavailable`. */
  failBeforeWrite?: number
  crash?: CrashPlan
}

export interface FaultyCalls {
  /** Writes so far, those that failed included. */
  readonly writes: number
  write<T>(call: () => Promise<T>): Promise<T>
  read<T>(call: () => Promise<T>): Promise<T>
}

/** What every faulty port shares: it counts writes and makes the planned ones fail. */
export function faultyCalls(faults: Faults, code: 'storage.unavailable' | 'state.unavailable' | 'queue.unavailable') {
  let writes = 0
  const calls: FaultyCalls = {
    get writes() {
      return writes
    },
    write: (call) =>
      crashing(faults.crash, async () => {
        const n = ++writes
        if (n === faults.failBeforeWrite) throw new IngestError(code, `injected: write ${n} was not made`)
        const reply = await call()
        if (n === faults.loseReplyAfterWrite) throw new IngestError(code, `injected: the reply of write ${n} was lost`)
        return reply
      }),
    read: (call) => crashing(faults.crash, call),
  }
  return calls
}
