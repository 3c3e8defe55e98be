import { expect, test } from '@jest/globals'
import { idsOf } from '../../support/scripted-server.ts'
import { ids, pause, streamTo } from '../../support/scripted-stream.ts'

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

test('what getUnackedRecords gives can be ingested again, and a blank record is refused before it shifts the offsets', async () => {
  const { stream, peers } = await streamTo({})

  await stream.ingestRecordOffset(new TextEncoder().encode('{"id":0}'))
  await expect(stream.ingestRecordOffset(' \n')).rejects.toMatchObject({ code: 'usage.invalid' })
  await stream.ingestRecordOffset('{"id":\n1}')
  await stream.close()

  expect(idsOf(peers[0]!.ingests)).toEqual([0, 1])
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

test('close also waits for records that wait for room while others are refused', async () => {
  const held: (() => void)[] = []
  const { stream, peers } = await streamTo(
    { ingest: (peer, { offset, count }) => void held.push(() => peer.ack(offset + count)) },
    { maxBufferedBytes: 20 },
  )
  await stream.ingestRecordsOffset(ids(0, 3))
  const waiting = stream.ingestRecordOffset({ id: 3 })
  waiting.catch(() => {})
  await expect(stream.ingestRecordOffset('')).rejects.toMatchObject({ code: 'usage.invalid' })

  const releasing = setInterval(() => held.shift()?.(), 5)
  await stream.close()
  clearInterval(releasing)

  expect(await waiting).toBe(3n)
  expect(idsOf(peers[0]!.ingests)).toEqual([0, 1, 2, 3])
})
