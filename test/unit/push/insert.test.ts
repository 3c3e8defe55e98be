import { expect, test } from '@jest/globals'
import type { Principal } from '../../../shared/push/auth.ts'
import { createInserts } from '../../../shared/push/insert.ts'
import { defaultLimits } from '../../../shared/push/payload.ts'
import { memoryQueue } from '../../../shared/queue/memory.ts'
import { memoryState } from '../../../shared/state/memory.ts'
import { memoryStorage } from '../../../shared/storage/memory.ts'
import { CLICKS, handClock, pushProcess, rowsOf } from '../../support/push.ts'

const principal: Principal = { subject: 'a', grants: [{ tables: ['*'], actions: ['write'] }], quota: {} }
const DAY_MS = 24 * 3600_000

function world() {
  const clock = handClock()
  const ports = { clock, storage: memoryStorage(), state: memoryState({ clock }), queue: memoryQueue({ clock }) }
  const { receive, flushAndCommit } = pushProcess(ports, 1)
  const insert = createInserts({
    ...ports,
    limits: defaultLimits,
    ready: async () => {},
    receive: (table, batch) => receive(batch, table),
  })
  const post = (key: string, ...ids: string[]) =>
    insert({
      table: CLICKS,
      principal,
      contentEncoding: undefined,
      idempotencyKey: key,
      body: Buffer.from(ids.map((id) => `{"id":"${id}"}\n`).join('')),
    })
  const ids = async () => (await rowsOf(ports.storage)).map((row) => row.id)
  return { clock, post, flushAndCommit, ids }
}

test('a key that is used again once it is forgotten is another request, whose records are stored', async () => {
  const { clock, post, flushAndCommit, ids } = world()
  await post('nightly', 'monday')
  await flushAndCommit()

  clock.forward(DAY_MS + 1)
  await post('nightly', 'tuesday')
  await flushAndCommit()

  expect(await ids()).toEqual(['monday', 'tuesday'])
})

test('a repeated request is stored once, whether the first is in the table by then or not', async () => {
  const { post, flushAndCommit, ids } = world()

  await post('k', 'a', 'b')
  await post('k', 'a', 'b')
  await flushAndCommit()
  await post('k', 'a', 'b')
  await flushAndCommit()

  expect(await ids()).toEqual(['a', 'b'])
  await expect(post('k', 'c')).rejects.toMatchObject({ code: 'push.frame_invalid' })
})
