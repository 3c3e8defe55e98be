import { expect, test } from '@jest/globals'
import type { Clock } from '../../../shared/core/clock.ts'
import { acquireLease, type Holder } from '../../../shared/state/leases.ts'
import { memoryState } from '../../../shared/state/memory.ts'
import { faultyState } from '../../support/faulty-state.ts'

/** Time that stands still until the test moves it; whoever slept long enough then wakes. */
function handClock() {
  let now = 1_000
  let sleepers: { until: number; wake: () => void }[] = []
  const clock: Clock = {
    now: () => now,
    sleep: (ms, signal) =>
      new Promise((wake, reject) => {
        sleepers.push({ until: now + ms, wake })
        signal?.addEventListener('abort', () => reject(signal.reason))
      }),
  }
  const advance = async (ms: number) => {
    now += ms
    const due = sleepers.filter(({ until }) => until <= now)
    sleepers = sleepers.filter(({ until }) => until > now)
    for (const { wake } of due) wake()
    await new Promise((done) => setImmediate(done))
  }
  return { clock, advance }
}

const holder = (name: string): Holder => ({ owner: name, who: `process ${name}` })

test('one holds a lease, and the other is told who and for how long at most', async () => {
  const { clock } = handClock()
  const options = { store: memoryState({ clock }), clock, name: 'shop/orders', ttlMs: 900 }
  const lease = await acquireLease({ ...options, holder: holder('a') })

  const refused = acquireLease({ ...options, holder: holder('b') })
  await expect(refused).rejects.toMatchObject({
    code: 'state.lease_held',
    message: 'shop/orders is being synced by process a; wait for it to finish, or stop it',
    retryAfterMs: 900,
  })
  await lease.release()

  const next = await acquireLease({ ...options, holder: holder('b') })
  await next.release()
})

test('a lease is renewed while it is held, and is free once its holder is silent for its time', async () => {
  const { clock, advance } = handClock()
  const store = memoryState({ clock })
  const options = { store, clock, name: 'shop/orders', ttlMs: 900 }
  const lease = await acquireLease({ ...options, holder: holder('a') })

  for (let thirds = 0; thirds < 9; thirds++) await advance(300)
  await expect(acquireLease({ ...options, holder: holder('b') })).rejects.toMatchObject({ code: 'state.lease_held' })
  await lease.release()

  const silent = { clock: { ...clock, sleep: () => new Promise<void>(() => {}) } }
  const dead = await acquireLease({ ...options, ...silent, holder: holder('c') })
  await advance(901)
  const taken = await acquireLease({ ...options, holder: holder('b') })

  expect(dead.signal.aborted).toBe(false)
  await taken.release()
})

test('a holder that lost its lease is told at its next renewal, and does not take the new one away', async () => {
  const { clock, advance } = handClock()
  const store = memoryState({ clock })
  const options = { store, clock, name: 'shop/orders', ttlMs: 900 }
  const old = await acquireLease({ ...options, holder: holder('a') })

  const young = await acquireLease({ ...options, holder: holder('b'), isDead: ({ owner }) => owner === 'a' })
  await advance(300)
  await old.release()

  expect(old.signal.reason).toMatchObject({ code: 'state.lease_held' })
  expect(young.signal.aborted).toBe(false)
  await expect(acquireLease({ ...options, holder: holder('c') })).rejects.toMatchObject({ code: 'state.lease_held' })
  await young.release()
})

test('a renewal that does not get through is tried again until the lease is over', async () => {
  const { clock, advance } = handClock()
  const store = memoryState({ clock })
  const options = { clock, name: 'shop/orders', ttlMs: 900 }
  const once = await acquireLease({
    ...options,
    store: faultyState(store, { failBeforeWrite: 2 }),
    holder: holder('a'),
  })

  await advance(300)
  await advance(300)
  await advance(500)

  expect(once.signal.aborted).toBe(false)
  await expect(acquireLease({ ...options, store, holder: holder('b') })).rejects.toMatchObject({
    code: 'state.lease_held',
  })
  await once.release()
})

test('a renewal whose reply is lost does not cost the lease', async () => {
  const { clock, advance } = handClock()
  const store = memoryState({ clock })
  const options = { clock, name: 'shop/orders', ttlMs: 900 }
  const lease = await acquireLease({
    ...options,
    store: faultyState(store, { loseReplyAfterWrite: 2 }),
    holder: holder('a'),
  })

  for (let thirds = 0; thirds < 4; thirds++) await advance(300)

  expect(lease.signal.aborted).toBe(false)
  await lease.release()
})
