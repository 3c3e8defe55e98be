import { expect, test } from '@jest/globals'
import { type StreamOptions, type ZerobusError, ZerobusSdk } from '../../../sdk/index.ts'
import { idsOf, type Script, scriptedServer } from '../../support/scripted-server.ts'

const quick: StreamOptions = { lingerMs: 1, recoveryBackoffMs: 1, compression: 'none' }
const ids = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => ({ id: from + i }))
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

async function streamTo(
  script: Script,
  options: StreamOptions = {},
  token: string | (() => string | Promise<string>) = 't',
) {
  const server = scriptedServer(script)
  const sdk = new ZerobusSdk('http://scripted', { token, webSocket: server.webSocket })
  const stream = await sdk.createStream({ tableName: 'main.events.clicks' }, { ...quick, ...options })
  return { ...server, sdk, stream }
}

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

test('close resolves only when everything is acknowledged, then says goodbye', async () => {
  const acks: (() => void)[] = []
  const { stream, peers } = await streamTo(
    { ingest: (peer, { offset, count }) => void acks.push(() => peer.ack(offset + count)) },
    { lingerMs: 60_000 },
  )
  let closed = false

  await stream.ingestRecordsOffset(ids(0, 5))
  const closing = stream.close().then(() => {
    closed = true
  })
  await pause(20)
  const before = { closed, saidClose: peers[0]!.saidClose, sent: idsOf(peers[0]!.ingests) }
  acks[0]!()
  await closing

  expect(before).toEqual({ closed: false, saidClose: false, sent: [0, 1, 2, 3, 4] })
  expect(peers[0]!.saidClose).toBe(true)
  expect(await stream.getUnackedRecords()).toEqual([])
})

test('close rejects when not all is acknowledged in time; the rest is handed back and another stream goes on with it', async () => {
  const { sdk, stream, peers } = await streamTo(
    {
      ingest(peer, { offset, count }, connection) {
        if (offset === 0 || connection > 0) peer.ack(offset + count)
      },
    },
    { flushTimeoutMs: 30 },
  )

  await stream.ingestRecordsOffset(ids(0, 3))
  await stream.waitForOffset(2)
  await stream.ingestRecordsOffset(ids(3, 5))
  const error = await stream.close().then(
    () => undefined,
    (reason: ZerobusError) => reason,
  )
  const left = (await stream.getUnackedRecords()).map((bytes) => JSON.parse(Buffer.from(bytes).toString()))
  const next = await sdk.recreateStream(stream, quick)
  await next.close()

  expect(error).toMatchObject({ code: 'push.unacknowledged', message: expect.stringMatching(/^2 records/) })
  expect(left).toEqual(ids(3, 5))
  expect(peers[1]!.open).toMatchObject({ session: 's1', durable: 3 })
  expect(idsOf(peers[1]!.ingests)).toEqual([3, 4])
})

test('waitForOffset holds up nobody else: records go on being queued and sent while it waits', async () => {
  const { stream, peers } = await streamTo({
    ingest(peer, { offset, count }) {
      if (offset > 0) peer.ack(offset + count)
    },
  })
  let waited = false

  const first = await stream.ingestRecordOffset({ id: 0 })
  const waiting = stream.waitForOffset(first).then(() => {
    waited = true
  })
  await pause(10)
  await stream.ingestRecordsOffset(ids(1, 4))
  const before = waited
  await waiting

  expect(before).toBe(false)
  expect(idsOf(peers[0]!.ingests)).toEqual([0, 1, 2, 3])
  await stream.close()
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

test('a batch goes out when it is full', async () => {
  const { stream, peers } = await streamTo({}, { maxBatchBytes: 20, lingerMs: 60_000 })

  // {"id":0} and its line break are 9 bytes: the third record fills a batch.
  for (const record of ids(0, 7)) await stream.ingestRecordOffset(record)
  await pause(20)
  const full = peers[0]!.ingests.map(({ count }) => count)
  await stream.close()

  expect(full).toEqual([3, 3])
  expect(peers[0]!.ingests.map(({ count }) => count)).toEqual([3, 3, 1])
})

test('a batch that does not fill goes out when its first record is old enough, with all that came meanwhile', async () => {
  const { stream, peers } = await streamTo({}, { lingerMs: 60 })

  await stream.ingestRecordOffset({ id: 0 })
  await pause(10)
  await stream.ingestRecordOffset({ id: 1 })
  const early = peers[0]!.ingests.length
  await pause(120)

  expect(early).toBe(0)
  expect(peers[0]!.ingests).toMatchObject([{ offset: 0, count: 2 }])
  await stream.close()
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

test('close waits for records that wait for room, and takes no others', async () => {
  const held: (() => void)[] = []
  const { stream, peers } = await streamTo(
    { ingest: (peer, { offset, count }) => void held.push(() => peer.ack(offset + count)) },
    { maxBufferedBytes: 20 },
  )
  await stream.ingestRecordsOffset(ids(0, 3))
  const waiting = [stream.ingestRecordsOffset(ids(3, 6)), stream.ingestRecordOffset({ id: 6 })]

  const closing = stream.close()
  const late = stream.ingestRecordOffset({ id: 7 })
  const releasing = setInterval(() => held.shift()?.(), 5)
  await expect(late).rejects.toMatchObject({ code: 'push.stream_closed' })
  await closing
  clearInterval(releasing)

  expect(await Promise.all(waiting)).toEqual([5n, 6n])
  expect(idsOf(peers[0]!.ingests)).toEqual([0, 1, 2, 3, 4, 5, 6])
})

test('whoever waits for something else when the stream is closed is told so', async () => {
  const { stream } = await streamTo({})
  const last = await stream.ingestRecordOffset({ id: 0 })
  const waiting = stream.waitForOffset(last + 1n)
  waiting.catch(() => {})

  await stream.close()

  await expect(waiting).rejects.toMatchObject({ code: 'push.stream_closed' })
})

test('what getUnackedRecords gives can be ingested again, and a blank record is refused before it shifts the offsets', async () => {
  const { stream, peers } = await streamTo({})

  await stream.ingestRecordOffset(new TextEncoder().encode('{"id":0}'))
  await expect(stream.ingestRecordOffset(' \n')).rejects.toMatchObject({ code: 'usage.invalid' })
  await stream.ingestRecordOffset('{"id":\n1}')
  await stream.close()

  expect(idsOf(peers[0]!.ingests)).toEqual([0, 1])
})

test('a message over what the transport takes is not sent for ever', async () => {
  const { stream, peers } = await streamTo({ ingest: (peer) => peer.cut(undefined, 1009) })

  await stream.ingestRecordOffset({ id: 0 })

  await expect(stream.waitForOffset(0)).rejects.toMatchObject({ code: 'push.too_large', isRetryable: false })
  expect(peers).toHaveLength(1)
  await expect(stream.close()).rejects.toMatchObject({ code: 'push.unacknowledged' })
})

test('two waits for the same rejected record do not hide another one from close', async () => {
  const { stream } = await streamTo({
    ingest: (peer, { offset, count }) =>
      peer.send({ type: 'ack', durable: offset + count, committed: 0, rejectedRanges: [[0, 2]], rejected: [] }),
  })
  const first = await stream.ingestRecordsOffset(ids(0, 2)).then(() => 0)

  await expect(stream.waitForOffset(first)).rejects.toMatchObject({ code: 'row.unrepresentable' })
  await expect(stream.waitForOffset(first)).rejects.toMatchObject({ code: 'row.unrepresentable' })

  await expect(stream.close()).rejects.toMatchObject({ code: 'row.unrepresentable', count: 1 })
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

test('records enter in the order they were given, also one that comes while others wait for room; close drops none', async () => {
  const acks: (() => void)[] = []
  const order: Promise<bigint | null>[] = []
  const { stream, peers } = await streamTo(
    { ingest: (peer, { offset, count }) => void acks.push(() => peer.ack(offset + count)) },
    {
      maxBufferedBytes: 10,
      onAck: () => {
        if (order.length === 3) order.push(stream.ingestRecordsOffset([{ id: 3 }]))
      },
    },
  )

  order.push(stream.ingestRecordsOffset([{ id: 0, pad: 'xxxxxxxx' }]))
  order.push(stream.ingestRecordsOffset([{ id: 1, pad: 'xxxxxxxx' }]))
  order.push(stream.ingestRecordsOffset([{ id: 2, pad: 'xxxxxxxx' }]))
  const acking = setInterval(() => acks.shift()?.(), 2)
  while (order.length < 4) await pause(1)
  const closing = stream.close()
  const offsets = await Promise.all(order)
  await closing
  clearInterval(acking)

  expect(offsets).toEqual([0n, 1n, 2n, 3n])
  expect(idsOf(peers[0]!.ingests)).toEqual([0, 1, 2, 3])
})

test('integers of any size and any text arrive as they are; what is no record is refused and takes no offset', async () => {
  const { stream, peers } = await streamTo({})
  const circular: Record<string, unknown> = {}
  circular.self = circular
  const refused: unknown[] = [undefined, null, 5, '', ' ', '[{"id":1}]', [{ id: 1 }], new Uint8Array([0xff]), circular]

  for (const record of refused)
    await expect(stream.ingestRecordOffset(record as object)).rejects.toMatchObject({ code: 'usage.invalid' })
  await stream.ingestRecordOffset({ id: 9223372036854775807n, at: new Date(0), none: undefined, half: '\ud800' })
  await stream.ingestRecordOffset('{"half":"\ud800","whole":"\ud83d\ude00"}')
  await stream.close()

  const [first, second] = peers[0]!.ingests.flatMap(({ rows }) => rows.trim().split('\n'))
  expect(first).toBe('{"id":9223372036854775807,"at":"1970-01-01T00:00:00.000Z","half":"\\ud800"}')
  expect(second).toBe('{"half":"\\ud800","whole":"\ud83d\ude00"}')
  expect(stream.nextOffset).toBe(2n)
})

test('a recreated stream keeps the options of the one before', async () => {
  const acked: bigint[] = []
  const { sdk, stream } = await streamTo(
    { ingest: (peer, { offset, count }, connection) => connection > 0 && peer.ack(offset + count) },
    { flushTimeoutMs: 20, onAck: (offset) => acked.push(offset) },
  )
  await stream.ingestRecordOffset({ id: 1 })
  await expect(stream.close()).rejects.toMatchObject({ code: 'push.unacknowledged' })

  const next = await sdk.recreateStream(stream)
  await next.close()

  expect(acked).toEqual([0n])
})
