import type { StateStore } from '../../shared/state/state-store.ts'
import { type Faults, faultyCalls } from './faults.ts'

/** A state store with planned faults. A write is one call of `write`. */
export function faultyState(state: StateStore, faults: Faults): StateStore & { readonly writes: number } {
  const calls = faultyCalls(faults, 'state.unavailable')
  return {
    get writes() {
      return calls.writes
    },
    read: (key) => calls.read(() => state.read(key)),
    list: (partition, options) => calls.read(() => state.list(partition, options)),
    write: (writes) => calls.write(() => state.write(writes)),
    close: () => state.close(),
  }
}
