import { compareBytes } from '../core/byte-order.ts'
import { type Clock, systemClock } from '../core/clock.ts'
import { checkKey, checkWrites, encodeValue } from './check.ts'
import type { Entry, EntryKey, EntryWrite, StateStore } from './state-store.ts'

interface Stored {
  text: string
  version: number
  expiresAtMs: number | undefined
}

/** Entries in memory, gone with the process. Keeps the whole contract but durability. */
export function memoryState({ clock = systemClock }: { clock?: Clock } = {}): StateStore {
  const partitions = new Map<string, Map<string, Stored>>()
  // The highest version among entries that are gone; a new one starts above it.
  let retired = 0

  function find({ partition, sort }: EntryKey): Stored | undefined {
    const stored = partitions.get(partition)?.get(sort)
    if (!stored || stored.expiresAtMs === undefined || stored.expiresAtMs > clock.now()) return stored
    drop({ partition, sort })
    return undefined
  }

  function drop({ partition, sort }: EntryKey): void {
    retired = Math.max(retired, partitions.get(partition)?.get(sort)?.version ?? 0)
    partitions.get(partition)?.delete(sort)
  }

  function apply(write: EntryWrite): number {
    const old = find(write)
    if ('remove' in write) {
      drop(write)
      return 0
    }
    const stored = {
      text: encodeValue(write.value),
      version: (old?.version ?? retired) + 1,
      expiresAtMs: write.expiresAtMs,
    }
    const entries = partitions.get(write.partition) ?? new Map<string, Stored>()
    partitions.set(write.partition, entries.set(write.sort, stored))
    return stored.version
  }

  const holds = (write: EntryWrite) => {
    const version = find(write)?.version
    return write.expect === 'any' || version === (write.expect === 'absent' ? undefined : write.expect)
  }

  const entryOf = ({ partition, sort }: EntryKey, { text, version }: Stored): Entry => ({
    partition,
    sort,
    value: JSON.parse(text),
    version,
  })

  return {
    async read(key) {
      checkKey(key)
      const stored = find(key)
      return stored && entryOf(key, stored)
    },

    async list(partition, { prefix = '', after, limit = Infinity, descending = false } = {}) {
      const order = descending ? -1 : 1
      const entries: Entry[] = []
      const sorts = [...(partitions.get(partition)?.keys() ?? [])]
        .filter((sort) => sort.startsWith(prefix) && (after === undefined || compareBytes(sort, after) * order > 0))
        .sort((a, b) => compareBytes(a, b) * order)
      for (const sort of sorts) {
        if (entries.length >= limit) break
        const stored = find({ partition, sort })
        if (stored) entries.push(entryOf({ partition, sort }, stored))
      }
      return entries
    },

    async write(writes) {
      checkWrites(writes)
      for (const write of writes) if (!('remove' in write)) encodeValue(write.value)
      return writes.every(holds) ? writes.map(apply) : undefined
    },

    async close() {},
  }
}
