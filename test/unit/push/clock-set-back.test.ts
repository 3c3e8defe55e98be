import { expect, test } from '@jest/globals'
import { createQuotas } from '../../../shared/push/quota.ts'
import { createPushTables } from '../../../shared/push/tables.ts'
import { memoryQueue } from '../../../shared/queue/memory.ts'
import { memoryState } from '../../../shared/state/memory.ts'
import { memoryStorage } from '../../../shared/storage/memory.ts'
import { column, seededRandom } from '../../support/delta.ts'
import { batchOf, CLICKS, clicks, handClock, pushProcess } from '../../support/push.ts'

/** A machine's clock is set right now and then, and a wrong one may have been hours ahead. */
const HOUR_MS = 3600_000

test('a file that was opened before is closed at once, so that its records are not an hour late', async () => {
  const clock = handClock()
  const ports = { clock, storage: memoryStorage(), state: memoryState({ clock }), queue: memoryQueue({ clock }) }
  const { receive, flusher } = pushProcess(ports, 1, { through: true })
  await receive(batchOf('s', 0, 3))

  clock.forward(-HOUR_MS)
  const files = await flusher.finish('due')

  expect(files).toMatchObject([{ rows: 3 }])
})

test('a record that was taken before is delivered again after its visibility, not an hour later', async () => {
  const clock = handClock()
  const queue = memoryQueue({ clock })
  const take = () => queue.receive({ maxBytes: 1 << 20, maxRecords: 10, visibilityMs: 60_000 })
  await queue.send([{ group: 't', header: {}, body: Buffer.from('x') }])
  await take()

  clock.forward(-HOUR_MS)
  const early = await take()
  clock.forward(60_000)
  const again = await take()

  expect([early.length, again.length]).toEqual([0, 1])
})

test('a table is looked at again after its time', async () => {
  const clock = handClock()
  const ports = { clock, storage: memoryStorage(), state: memoryState({ clock }), random: seededRandom(1) }
  const [one, other] = [createPushTables([clicks], ports, 1000), createPushTables([clicks], ports, 0)]
  await one.open(CLICKS)
  await other.addColumns((await other.open(CLICKS))!, [column('extra', 'long')])

  clock.forward(-HOUR_MS)

  expect((await one.open(CLICKS))!.newest.version).toBe(2)
})

test('no producer is held back for the hour that its quota has yet to live through again', async () => {
  const clock = handClock()
  const quotas = createQuotas(clock)
  const principal = { subject: 'a', grants: [], quota: { bytesPerSecond: 1000 } }
  quotas.charge(principal, 500)

  clock.forward(-HOUR_MS)

  expect(quotas.charge(principal, 500)).toBe(0)
})
