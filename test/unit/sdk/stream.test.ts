import { expect, test } from '@jest/globals'
import type { ZerobusError } from '../../../sdk/index.ts'
import { idsOf } from '../../support/scripted-server.ts'
import { ids, pause, quick, streamTo } from '../../support/scripted-stream.ts'

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

test('whoever waits for something else when the stream is closed is told so', async () => {
  const { stream } = await streamTo({})
  const last = await stream.ingestRecordOffset({ id: 0 })
  const waiting = stream.waitForOffset(last + 1n)
  waiting.catch(() => {})

  await stream.close()

  await expect(waiting).rejects.toMatchObject({ code: 'push.stream_closed' })
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
