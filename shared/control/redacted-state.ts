import type { Redactor } from '../core/redactor.ts'
import type { EntryWrite, StateStore } from '../state/state-store.ts'

/**
 * The store with secrets taken out of what people read later: runs and events. Cursors and leases are left as they are.
 */
export function redactedState(store: StateStore, redactor: Redactor): StateStore {
  const clean = (write: EntryWrite): EntryWrite =>
    'value' in write && /^(runs|events)\//.test(write.partition)
      ? { ...write, value: redactor.value(write.value) }
      : write
  return {
    read: (key) => store.read(key),
    list: (partition, options) => store.list(partition, options),
    write: (writes) => store.write(writes.map(clean)),
    close: () => store.close(),
  }
}
