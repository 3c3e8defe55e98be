import { afterEach, beforeEach, expect, test } from '@jest/globals'
import type { Clock } from '../../shared/core/clock.ts'
import type { Queue, QueueRecord, ReceivedRecord } from '../../shared/queue/queue.ts'

export interface OpenQueue {
  queue: Queue
  /** Lets time pass, so that records come again. */
  pass(ms: number): Promise<void>
  /** How long the tests hide what they receive; a service whose time cannot be set wants it short. */
  visibilityMs?: number
  close(): Promise<void>
}

/** What every Queue keeps. Each test has a queue of its own. */
export function queueContract(
  open: (time: { clock: Clock; pass(ms: number): Promise<void> }) => Promise<OpenQueue>,
): void {
  let opened: OpenQueue
  let queue: Queue

  beforeEach(async () => {
    let now = 1_800_000_000_000
    const clock: Clock = { now: () => now, sleep: async () => {} }
    opened = await open({
      clock,
      pass: async (ms) => {
        now += ms
      },
    })
    queue = opened.queue
    all = { ...all, visibilityMs: opened.visibilityMs ?? all.visibilityMs }
  })
  afterEach(() => opened.close())

  let all = { maxBytes: 1e9, maxRecords: 10_000, visibilityMs: 60_000 }
  const record = (group: string, n: number, body = `body ${n}`): QueueRecord => ({
    group,
    header: { session: 'söss "1"', n },
    body: Buffer.from(body),
  })
  const numbers = (records: readonly QueueRecord[]) =>
    records.map(({ header }) => Number(header.n)).sort((a, b) => a - b)
  /** Everything there is to receive now: a queue may hand it out in several rounds. */
  const receiveAll = async () => {
    const received: ReceivedRecord[] = []
    for (;;) {
      const batch = await queue.receive(all)
      if (batch.length === 0) return received
      received.push(...batch)
    }
  }
  const receipts = (records: readonly ReceivedRecord[]) => records.map(({ receipt }) => receipt)

  test('a record is received with its group, header and body', async () => {
    const body = Uint8Array.from({ length: 256 }, (_, i) => i)
    await queue.send([{ group: 'main.events.clicks', header: { session: 's', from: 7, 'é"': '\u{1f986}\n' }, body }])

    const [received, ...more] = await receiveAll()

    expect(more).toEqual([])
    expect(received).toMatchObject({
      group: 'main.events.clicks',
      header: { session: 's', from: 7, 'é"': '\u{1f986}\n' },
    })
    expect(Buffer.compare(received!.body, body)).toBe(0)
    expect(received!.receipt).not.toBe('')
  })

  test('an empty queue gives nothing, and sending nothing is nothing', async () => {
    await queue.send([])

    expect(await queue.receive(all)).toEqual([])
    expect(await queue.depth()).toEqual({ records: 0, bytes: 0 })
  })

  test('every record sent is received until it is deleted, and then never again', async () => {
    const sent = Array.from({ length: 40 }, (_, i) => record(`g${i % 3}`, i))
    await Promise.all([queue.send(sent.slice(0, 13)), queue.send(sent.slice(13, 14)), queue.send(sent.slice(14))])

    const first = await receiveAll()
    expect(numbers(first)).toEqual(sent.map((_, i) => i))
    for (const { header, body, group } of first) {
      expect(Buffer.from(body).toString()).toBe(`body ${header.n}`)
      expect(group).toBe(`g${Number(header.n) % 3}`)
    }
    await queue.delete(receipts(first.filter(({ header }) => Number(header.n) < 30)))

    await opened.pass(all.visibilityMs)
    expect(numbers(await receiveAll())).toEqual([30, 31, 32, 33, 34, 35, 36, 37, 38, 39])
  })

  test('what is out is not handed out before its time is over', async () => {
    await queue.send([record('g', 1), record('g', 2)])
    const out = await receiveAll()
    expect(numbers(out)).toEqual([1, 2])

    expect(await queue.receive(all)).toEqual([])
    await queue.delete([out.find(({ header }) => header.n === 1)!.receipt])
    await opened.pass(all.visibilityMs)

    expect(numbers(await receiveAll())).toEqual([2])
  })

  test('deleting twice, or by an older receipt, is no error', async () => {
    await queue.send([record('g', 1)])
    const first = await receiveAll()
    await opened.pass(all.visibilityMs)
    const second = await receiveAll()

    await queue.delete(receipts(second))
    await queue.delete(receipts(second))
    await queue.delete(receipts(first))
    await queue.delete([])

    await opened.pass(all.visibilityMs)
    expect(await queue.receive(all)).toEqual([])
    expect(await queue.depth()).toEqual({ records: 0, bytes: 0 })
  })

  test('a receive keeps to its limits, but hands out one record however large', async () => {
    await queue.send(Array.from({ length: 12 }, (_, i) => record('g', i, 'x'.repeat(1_000))))

    const few = await queue.receive({ ...all, maxRecords: 3 })
    const small = await queue.receive({ ...all, maxBytes: 2_500 })
    const large = await queue.receive({ ...all, maxBytes: 10 })

    expect(few.length).toBeLessThanOrEqual(3)
    expect(small.length).toBeLessThanOrEqual(2)
    expect(large).toHaveLength(1)
    const rest = await receiveAll()
    expect(numbers([...few, ...small, ...large, ...rest])).toEqual(Array.from({ length: 12 }, (_, i) => i))
  })

  test('depth counts records and the bytes of their bodies until they are deleted', async () => {
    await queue.send([record('g', 1, '12345'), record('h', 2, '123')])
    expect(await queue.depth()).toEqual({ records: 2, bytes: 8 })

    const received = await receiveAll()
    expect(await queue.depth()).toEqual({ records: 2, bytes: 8 })
    await queue.delete(receipts(received.filter(({ header }) => header.n === 1)))

    expect(await queue.depth()).toMatchObject({ records: 1 })
    expect((await queue.depth()).bytes).toBeLessThan(8)
  })

  test('empty, large and many bodies in one send all come back unchanged', async () => {
    const bodies = [0, 1, 65_535, 700_000, 1_500_000, 6_000_000].map((length, i) => new Uint8Array(length).fill(i + 1))
    await queue.send(bodies.map((body, n) => ({ group: 'g', header: { n }, body })))

    const received = await receiveAll()

    expect(numbers(received)).toEqual([0, 1, 2, 3, 4, 5])
    for (const { header, body } of received) expect(Buffer.compare(body, bodies[Number(header.n)]!)).toBe(0)
    await queue.delete(receipts(received))
  })

  test('a record sent as taken comes only if it is not deleted in time', async () => {
    if (!queue.sendTaken) return expect(queue.sendTaken).toBeUndefined()
    const [, second] = await queue.sendTaken([record('g', 1), record('g', 2)], all.visibilityMs)

    expect(await receiveAll()).toEqual([])
    await queue.delete([second!])
    expect(await queue.depth()).toMatchObject({ records: 1 })
    await opened.pass(all.visibilityMs + 1)

    const late = await receiveAll()
    expect(numbers(late)).toEqual([1])
    expect(late[0]!.body).toEqual(new Uint8Array(Buffer.from('body 1')))
  })
}
