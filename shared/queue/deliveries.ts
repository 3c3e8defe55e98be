import type { Clock } from '../core/clock.ts'

/** A record to hand out: where it is, is the queue's own business. */
export interface Delivery {
  receipt: string
  group: string
  bodyBytes: number
}

/** Which records wait, which are out, and until when: the bookkeeping of a queue in one process. */
export interface Deliveries<T extends Delivery> {
  add(item: T): void
  /** As if it had been taken at once. */
  addTaken(item: T, visibilityMs: number): void
  /** Hands out waiting records, group by group, and those whose time is over again. */
  take(options: { maxBytes: number; maxRecords: number; visibilityMs: number }): T[]
  /** Makes a record that was handed out wait again at once. */
  putBack(item: T): void
  /** The record this receipt is of, which is forgotten; undefined when it already was. */
  remove(receipt: string): T | undefined
  depth(): { records: number; bytes: number }
}

export function deliveries<T extends Delivery>(clock: Clock): Deliveries<T> {
  // Maps keep the order of insertion: the oldest record first, and the group served longest ago first.
  const waiting = new Map<string, Map<string, T>>()
  const out = new Map<string, { item: T; backAtMs: number }>()
  let earliestBackAtMs = Infinity
  let lastMs = Number.NEGATIVE_INFINITY
  let records = 0
  let bytes = 0

  function wait(item: T): void {
    let group = waiting.get(item.group)
    if (!group) {
      group = new Map()
      waiting.set(item.group, group)
    }
    group.set(item.receipt, item)
  }

  /** A clock that was set back keeps nothing out for as much longer. */
  function timeNow(): number {
    const now = clock.now()
    const backMs = lastMs - now
    lastMs = now
    if (backMs > 0) {
      earliestBackAtMs -= backMs
      for (const taken of out.values()) taken.backAtMs -= backMs
    }
    return now
  }

  function takeBack(now: number): void {
    if (now < earliestBackAtMs) return
    earliestBackAtMs = Infinity
    for (const [receipt, { item, backAtMs }] of out) {
      if (backAtMs <= now) {
        out.delete(receipt)
        wait(item)
      } else {
        earliestBackAtMs = Math.min(earliestBackAtMs, backAtMs)
      }
    }
  }

  return {
    add(item) {
      records++
      bytes += item.bodyBytes
      wait(item)
    },

    addTaken(item, visibilityMs) {
      records++
      bytes += item.bodyBytes
      const backAtMs = timeNow() + visibilityMs
      out.set(item.receipt, { item, backAtMs })
      earliestBackAtMs = Math.min(earliestBackAtMs, backAtMs)
    },

    take({ maxBytes, maxRecords, visibilityMs }) {
      const now = timeNow()
      takeBack(now)
      const taken: T[] = []
      let takenBytes = 0
      const fits = (item: T) =>
        taken.length < maxRecords && (taken.length === 0 || takenBytes + item.bodyBytes <= maxBytes)
      for (const [name, group] of [...waiting]) {
        let full = false
        for (const item of group.values()) {
          full = !fits(item)
          if (full) break
          taken.push(item)
          takenBytes += item.bodyBytes
          group.delete(item.receipt)
          out.set(item.receipt, { item, backAtMs: now + visibilityMs })
        }
        if (group.size === 0) {
          waiting.delete(name)
        } else if (taken.at(-1)?.group === name) {
          waiting.delete(name)
          waiting.set(name, group)
        }
        if (full) break
      }
      if (taken.length > 0) earliestBackAtMs = Math.min(earliestBackAtMs, now + visibilityMs)
      return taken
    },

    putBack(item) {
      if (out.delete(item.receipt)) wait(item)
    },

    remove(receipt) {
      let item = out.get(receipt)?.item
      out.delete(receipt)
      for (const [name, group] of item ? [] : waiting) {
        item = group.get(receipt)
        if (!item) continue
        group.delete(receipt)
        if (group.size === 0) waiting.delete(name)
        break
      }
      if (!item) return undefined
      records--
      bytes -= item.bodyBytes
      return item
    },

    depth: () => ({ records, bytes }),
  }
}
