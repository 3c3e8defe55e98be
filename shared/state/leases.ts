import type { Clock } from '../core/clock.ts'
import { asIngestError, IngestError } from '../core/errors.ts'
import type { Entry, EntryKey, StateStore } from './state-store.ts'

/** Who holds a lease. `owner` is unique to one process and one taking; `who` is for people: `pid 4711 on host a`. */
export interface Holder {
  owner: string
  who: string
}

export interface LeaseOptions {
  store: StateStore
  /** What only one may do at a time: `shop/main.shop.orders`. */
  name: string
  holder: Holder
  /** A lease that is not renewed for this long is free. Renewed at a third of it. */
  ttlMs: number
  clock: Clock
  /** True when this holder is known to be dead, so that its lease need not expire first. */
  isDead?: (holder: Holder) => boolean
}

export interface Lease {
  /** Aborts, with the error to throw, when the lease is lost. */
  readonly signal: AbortSignal
  release(): Promise<void>
}

interface LeaseValue extends Holder {
  expiresAtMs: number
}

/**
 * The right to write one stream, held until released and renewed meanwhile. It saves work and explains itself; what
 * keeps a table right when two hold it is `commitOnce`.
 *
 * @throws IngestError `state.lease_held` (retry) when another holds it
 */
export async function acquireLease(options: LeaseOptions): Promise<Lease> {
  const { store, name, holder, ttlMs, clock } = options
  const key: EntryKey = { partition: `lease/${name}`, sort: 'lease' }
  let version = await take(options, key)
  const lost = new AbortController()
  const stop = new AbortController()
  const renewing = renew()

  async function renew(): Promise<void> {
    let expiresAtMs = clock.now() + ttlMs
    for (;;) {
      try {
        await clock.sleep(ttlMs / 3, stop.signal)
      } catch {
        return
      }
      try {
        const next = clock.now() + ttlMs
        const versions = await store.write([{ ...key, value: { ...holder, expiresAtMs: next }, expect: version }])
        if (versions) {
          version = versions[0]!
          expiresAtMs = next
          continue
        }
        // An entry that moved and is still ours was moved by a renewal whose reply was lost.
        const entry = await store.read(key)
        if (!entry || holderIn(entry).owner !== holder.owner) return lost.abort(held(name, entry && holderIn(entry)))
        version = entry.version
        expiresAtMs = holderIn(entry).expiresAtMs
      } catch (error) {
        if (clock.now() >= expiresAtMs) return lost.abort(asIngestError(error))
      }
    }
  }

  return {
    signal: lost.signal,
    async release() {
      stop.abort()
      await renewing
      await store.write([{ ...key, remove: true, expect: version }])
    },
  }
}

/** Takes the lease and returns the version of its entry. */
async function take({ store, name, holder, ttlMs, clock, isDead }: LeaseOptions, key: EntryKey): Promise<number> {
  const entry = await store.read(key)
  const other = entry && holderIn(entry)
  if (other && other.owner !== holder.owner && other.expiresAtMs > clock.now() && !isDead?.(other))
    throw held(name, other, Math.max(0, other.expiresAtMs - clock.now()))
  const value = { ...holder, expiresAtMs: clock.now() + ttlMs }
  const versions = await store.write([{ ...key, value, expect: entry?.version ?? 'absent' }])
  if (!versions) throw held(name, undefined)
  return versions[0]!
}

function held(name: string, by: Holder | undefined, retryAfterMs?: number): IngestError {
  const who = by ? by.who : 'another process'
  return new IngestError(
    'state.lease_held',
    `${name} is being synced by ${who}; wait for it to finish, or stop it`,
    retryAfterMs === undefined ? {} : { retryAfterMs },
  )
}

const holderIn = (entry: Entry) => entry.value as unknown as LeaseValue
