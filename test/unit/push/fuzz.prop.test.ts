import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { conversations } from '../../support/push-conversations.ts'
import { converse, fuzzWorld, request } from '../../support/push-fuzz-world.ts'
import { httpRequests } from '../../support/push-requests.ts'

// A million of them, and through real sockets: npm run fuzz.
const runs = process.env.SOAK ? 50_000 : 400

test('whatever is sent, the answer is a frame of the protocol, an error and a close, and never an ack of what is not kept', async () => {
  const ends = new Set<string>()
  const world = fuzzWorld()

  await fc.assert(
    fc.asyncProperty(conversations, async (conversation) => {
      const { broken, ended } = await converse(conversation, world)
      ends.add(ended)
      expect(broken).toEqual([])
    }),
    { numRuns: runs },
  )

  expect(await world.finish()).toEqual([])
  // The generator reaches what it is for: sessions that go on, and the refusals by name.
  expect([...ends]).toEqual(
    expect.arrayContaining(['open', 'push.frame_invalid', 'push.count_mismatch', 'push.offset_gap', 'push.too_large']),
  )
})

test('whatever is posted, the answer is a status of the protocol, and 200 only for what is kept', async () => {
  const statuses = new Set<string>()
  const world = fuzzWorld()

  await fc.assert(
    fc.asyncProperty(httpRequests, async (sent) => {
      const { broken, ended } = await request(sent, world)
      statuses.add(ended)
      expect(broken).toEqual([])
    }),
    { numRuns: runs },
  )

  expect(await world.finish()).toEqual([])
  expect([...statuses]).toEqual(expect.arrayContaining(['200', '400', '401', '403', '404', '405', '413', '503']))
})
