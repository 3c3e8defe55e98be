import { expect, test } from '@jest/globals'
import { idsOf, scriptedServer } from '../../support/scripted-server.ts'
import { ids, streamTo } from '../../support/scripted-stream.ts'

test('after a cut the same session is resumed and only what is not acknowledged is sent again', async () => {
  const { stream, peers } = await streamTo({
    ingest(peer, { offset, count }, connection) {
      if (connection > 0) return peer.ack(offset + count)
      if (offset === 0) peer.ack(count)
      else peer.cut()
    },
  })

  await stream.ingestRecordsOffset(ids(0, 10))
  await stream.waitForOffset(9)
  await stream.ingestRecordsOffset(ids(10, 20))
  await stream.close()

  expect(peers).toHaveLength(2)
  expect(peers[0]!.open).not.toHaveProperty('session')
  expect(peers[1]!.open).toMatchObject({ session: 's1', durable: 10 })
  expect(peers[1]!.ingests[0]).toMatchObject({ offset: 10, count: 10 })
  expect(idsOf(peers[1]!.ingests)).toEqual(ids(10, 20).map(({ id }) => id))
})

test('what the server turns out to hold, though its ack was lost, is not sent again, even within a batch', async () => {
  const { stream, peers } = await streamTo({
    opened: (peer, connection) => peer.send({ ...scriptedServer().opened, durable: connection === 0 ? 0 : 7 }),
    ingest: (peer, { offset, count }, connection) => (connection === 0 ? peer.cut() : peer.ack(offset + count)),
  })

  await stream.ingestRecordsOffset(ids(0, 10))
  await stream.close()

  expect(peers[1]!.ingests).toMatchObject([{ offset: 7, count: 3 }])
  expect(idsOf(peers[1]!.ingests)).toEqual([7, 8, 9])
})

test('the token is asked for at every connect', async () => {
  let asked = 0
  const { stream, peers } = await streamTo(
    { ingest: (peer, { offset, count }, connection) => (connection < 2 ? peer.cut() : peer.ack(offset + count)) },
    {},
    async () => `token ${++asked}`,
  )

  await stream.ingestRecordOffset({ id: 0 })
  await stream.close()

  expect(peers.map(({ token }) => token)).toEqual(['token 1', 'token 2', 'token 3'])
})

test('pauses before reconnecting double, within their jitter, and are as long as the server asks for', async () => {
  const atMs: number[] = []
  const { stream } = await streamTo(
    {
      opened(peer, connection) {
        atMs.push(performance.now())
        if (connection === 0 || connection === 5) peer.send(scriptedServer().opened)
        else if (connection === 4) peer.cut({ code: 'push.busy', retryable: true, retryAfterMs: 300 })
        else peer.cut({ code: 'push.busy', retryable: true })
      },
      ingest: (peer, { offset, count }, connection) => (connection === 0 ? peer.cut() : peer.ack(offset + count)),
    },
    { recoveryBackoffMs: 20 },
  )

  await stream.ingestRecordOffset({ id: 0 })
  await stream.close()

  // After connection n failed, the pause is half to all of 20 ms * 2^n; timers may be a millisecond early.
  const pauses = atMs.slice(1).map((at, i) => at - atMs[i]!)
  expect(pauses).toHaveLength(5)
  for (const [n, least] of [10, 20, 40, 80, 300].entries()) expect(pauses[n]).toBeGreaterThan(least - 2)
})

test('a server that lets the stream in and then refuses its records is not hammered, and its wish for a pause is kept', async () => {
  const atMs: number[] = []
  const { stream } = await streamTo({
    opened(peer) {
      atMs.push(performance.now())
      peer.send(scriptedServer().opened)
    },
    ingest(peer, { offset, count }, connection) {
      if (connection < 4)
        peer.cut({ code: 'queue.full', retryable: true, ...(connection === 3 && { retryAfterMs: 200 }) })
      else peer.ack(offset + count)
    },
  })

  await stream.ingestRecordOffset({ id: 0 })
  await stream.close()

  const pauses = atMs.slice(1).map((at, i) => at - atMs[i]!)
  expect(pauses[3]).toBeGreaterThan(198)
})

test('a token refused at a reconnect is asked for anew once, and a second refusal ends the stream', async () => {
  const refused = { code: 'push.unauthenticated', retryable: false }
  const tokens = ['first', 'stale', 'fresh', 'stale', 'stale too']
  const { stream, peers } = await streamTo(
    {
      opened: (peer) => (peer.token.startsWith('stale') ? peer.cut(refused) : peer.send(scriptedServer().opened)),
      ingest: (peer, { offset, count }, connection) =>
        connection === 2 && offset === 0 ? peer.ack(count) : peer.cut(),
    },
    {},
    () => tokens.shift()!,
  )

  await stream.ingestRecordOffset({ id: 0 })
  await stream.waitForOffset(0)
  await stream.ingestRecordOffset({ id: 1 })

  await expect(stream.waitForOffset(1)).rejects.toMatchObject({ code: 'push.unauthenticated' })
  expect(peers.map(({ token }) => token)).toEqual(['first', 'stale', 'fresh', 'stale', 'stale too'])
  await expect(stream.close()).rejects.toMatchObject({ code: 'push.unacknowledged' })
})

test('a message over what the transport takes is not sent for ever', async () => {
  const { stream, peers } = await streamTo({ ingest: (peer) => peer.cut(undefined, 1009) })

  await stream.ingestRecordOffset({ id: 0 })

  await expect(stream.waitForOffset(0)).rejects.toMatchObject({ code: 'push.too_large', isRetryable: false })
  expect(peers).toHaveLength(1)
  await expect(stream.close()).rejects.toMatchObject({ code: 'push.unacknowledged' })
})

test('a refusal that waiting does not help ends the stream: no reconnect, the code as the server gave it', async () => {
  const { stream, peers } = await streamTo({
    ingest: (peer) => peer.cut({ code: 'push.offset_gap', retryable: false }),
  })

  await stream.ingestRecordOffset({ id: 0 })

  await expect(stream.waitForOffset(0)).rejects.toMatchObject({ code: 'push.offset_gap', isRetryable: false })
  await expect(stream.ingestRecordOffset({ id: 1 })).rejects.toMatchObject({ code: 'push.offset_gap' })
  await expect(stream.close()).rejects.toMatchObject({ code: 'push.unacknowledged' })
  expect(peers).toHaveLength(1)
})
