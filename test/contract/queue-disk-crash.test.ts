import { once } from 'node:events'
import { appendFile, open, readdir, readFile, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { diskQueue } from '../../shared/queue/disk.ts'
import type { Queue, ReceivedRecord } from '../../shared/queue/queue.ts'
import { runShell, startChild } from '../support/child.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

let folder: string
let remove: () => Promise<void>

beforeEach(async () => {
  const temporary = await temporaryFolder()
  folder = temporary.folder
  remove = temporary.remove
})
afterEach(() => remove())

const all = { maxBytes: Infinity, maxRecords: 1e9, visibilityMs: 60_000 }
const send = (queue: Queue, ...ns: number[]) =>
  queue.send(ns.map((n) => ({ group: 'g', header: { n }, body: Buffer.from(`body ${n}`) })))
const numbers = (records: readonly ReceivedRecord[]) =>
  records.map(({ header }) => Number(header.n)).sort((a, b) => a - b)
const segments = async () => (await readdir(folder)).filter((name) => name.endsWith('.log')).sort()
const logSize = async (name: string) => (await stat(join(folder, name))).size

/** Sends, each to a segment of its own when asked, and closes as a crash would leave it: nothing deleted. */
async function filled(ns: readonly number[], segmentBytes = 1_000_000): Promise<void> {
  const queue = await diskQueue(folder, { segmentBytes })
  for (const n of ns) await send(queue, n)
  await queue.close()
}

async function reopened(): Promise<number[]> {
  const queue = await diskQueue(folder)
  const received = await queue.receive(all)
  await queue.close()
  return numbers(received)
}

/** How often the sender is killed. */
const lives = Number(process.env.SOAK ?? 6)

test(
  'killed at random while sending, every record that was acknowledged is received, whole',
  async () => {
    const acked = new Set<number>()
    const deleted = new Set<number>()
    for (let life = 0; life < lives; life++) {
      const child = startChild('contract/queue-child.ts', folder, String(life * 1e6))
      const output = text(child.stdout!)
      await Promise.race([once(child.stdout!, 'data'), once(child, 'exit')])
      await sleep(20 + Math.random() * 200)
      child.kill('SIGKILL')
      await once(child, 'exit')
      const lines = (await output).split('\n').slice(0, -1).map(Number)
      expect(lines.length).toBeGreaterThan(0)
      for (const n of lines) if (n < 0 || Object.is(n, -0)) deleted.add(-n)
      for (const n of lines) if (n >= 0 && !Object.is(n, -0)) acked.add(n)

      const queue = await diskQueue(folder)
      const received = await queue.receive(all)
      const found = new Set(numbers(received))
      expect([...acked].filter((n) => !found.has(n) && !deleted.has(n))).toEqual([])
      expect(found.size).toBe(received.length)
      for (const { header, body } of received) {
        const n = Number(header.n)
        expect(Buffer.compare(body, Buffer.alloc((n * 7919) % 20_000, String(n)))).toBe(0)
      }
      await queue.close()
    }
  },
  30_000 + lives * 2_000,
)

test.each([1, 5, 11, 12, 20, 40])(
  'a tail torn %i bytes into the last record is cut off, and the queue goes on',
  async (keep) => {
    await filled([1, 2])
    const [log] = await segments()
    const whole = await logSize(log!)
    await filled([3])
    const last = join(folder, (await segments()).at(-1)!)
    await truncate(last, Math.min((await stat(last)).size - 1, 8 + keep))

    expect(await reopened()).toEqual([1, 2])
    await filled([4])
    expect(await reopened()).toEqual([1, 2, 4])
    expect(await logSize(log!)).toBe(whole)
  },
)

test.each([
  ['zeros', Buffer.alloc(5_000)],
  ['noise', Buffer.alloc(5_000, 'noise')],
  ['huge lengths', Buffer.alloc(64, 0xff)],
])('%s after the last record are cut off', async (_, tail) => {
  await filled([1, 2, 3])
  const [log] = await segments()
  const whole = await logSize(log!)
  await appendFile(join(folder, log!), tail)

  expect(await reopened()).toEqual([1, 2, 3])
  expect(await logSize(log!)).toBe(whole)
})

test.each([0, 3, 8])('a last segment of %i bytes, or of zeros, holds nothing', async (bytes) => {
  await filled([1], 1)
  await writeFile(join(folder, '000000000002.log'), Buffer.from('lakeflq1').subarray(0, bytes))
  expect(await reopened()).toEqual([1])

  await writeFile(join(folder, '000000000002.log'), Buffer.alloc(4_096))
  expect(await reopened()).toEqual([1])
  expect(await segments()).toHaveLength(1)
})

test('a broken record before the end of the log is refused by name, and nothing is cut', async () => {
  await filled([1, 2], 1)
  const [first] = await segments()
  const size = await logSize(first!)
  await truncate(join(folder, first!), size - 1)

  await expect(diskQueue(folder)).rejects.toMatchObject({ code: 'queue.corrupt', remedy: 'fix' })
  await expect(diskQueue(folder)).rejects.toThrow(first)
  expect(await logSize(first!)).toBe(size - 1)
})

test('a record whose bytes rotted is not handed out', async () => {
  await filled([1, 2], 1)
  const [first] = await segments()
  const file = await open(join(folder, first!), 'r+')
  await file.write(Buffer.from('X'), 0, 1, (await logSize(first!)) - 1)
  await file.close()

  const queue = await diskQueue(folder)
  await expect(queue.receive(all)).rejects.toMatchObject({ code: 'queue.corrupt' })
  await queue.close()
})

test('deletes are remembered; a torn file of deletes only brings records again', async () => {
  const queue = await diskQueue(folder)
  await send(queue, 1, 2, 3, 4)
  const received = await queue.receive(all)
  const receiptOf = (n: number) => received.find(({ header }) => header.n === n)!.receipt
  await queue.delete([receiptOf(1), receiptOf(2)])
  await queue.delete([receiptOf(4)])
  await queue.close()
  expect(await reopened()).toEqual([3])

  const done = join(folder, '000000000001.done')
  await truncate(done, 13)
  expect(await reopened()).toEqual([2, 3, 4])
  await appendFile(done, Buffer.alloc(16))
  expect(await reopened()).toEqual([2, 3, 4])
  expect(await readFile(done)).toHaveLength(8)
})

test('a segment goes when all its records are deleted, and the folder is empty in the end', async () => {
  const queue = await diskQueue(folder, { segmentBytes: 1 })
  for (let n = 0; n < 5; n++) await send(queue, n)
  expect(await segments()).toHaveLength(5)
  const received = await queue.receive(all)

  await queue.delete(received.filter(({ header }) => header.n !== 3).map(({ receipt }) => receipt))
  expect(await segments()).toEqual(['000000000004.log'])
  await queue.delete(received.map(({ receipt }) => receipt))
  await queue.close()

  expect((await readdir(folder)).filter((name) => name !== 'lock')).toEqual([])
})

test('a queue at maxBytes refuses a send whole, and takes it once there is room', async () => {
  const queue = await diskQueue(folder, { maxBytes: 20 })
  await send(queue, 1, 2)

  const full = { code: 'queue.full', remedy: 'retry' }
  await expect(send(queue, 3, 4)).rejects.toMatchObject(full)
  const both = await Promise.allSettled([send(queue, 5), send(queue, 6)])
  expect(both.map(({ status }) => status)).toEqual(['fulfilled', 'rejected'])
  const received = await queue.receive(all)
  expect(numbers(received)).toEqual([1, 2, 5])
  await queue.delete(received.map(({ receipt }) => receipt))

  await send(queue, 7, 8)
  expect(numbers(await queue.receive(all))).toEqual([7, 8])
  await queue.close()
})

test('where no more fits on the disk a send is queue.full, and what was acknowledged before is all there', async () => {
  // The limit on the size of a file stands for the disk: to the writer both are a write that takes no more.
  const { code, output } = await runShell('ulimit -f 200; exec "$0" "$@"', 'contract/queue-child.ts', folder, '0')

  const lines = output.split('\n').slice(0, -1)
  expect({ code, last: lines.at(-1) }).toEqual({ code: 3, last: 'queue.full' })
  const acked = new Set(lines.slice(0, -1).filter((line) => !line.startsWith('-')))
  const deleted = new Set(lines.filter((line) => line.startsWith('-')).map((line) => line.slice(1)))
  const found = new Set((await reopened()).map(String))
  expect([...acked].filter((n) => !found.has(n) && !deleted.has(n))).toEqual([])
  expect(acked.size).toBeGreaterThan(5)
})

test('a second process, or a second queue, on one folder is refused until the first is closed', async () => {
  const queue = await diskQueue(folder)
  await expect(diskQueue(folder)).rejects.toMatchObject({ code: 'queue.unavailable' })
  await queue.close()
  await queue.close()

  await expect(queue.send([{ group: 'g', header: {}, body: Buffer.from('x') }])).rejects.toMatchObject({
    code: 'queue.unavailable',
  })
  const next = await diskQueue(folder)
  await next.close()
})

test('a send under way when the queue closes is durable', async () => {
  const queue = await diskQueue(folder)
  const sending = [send(queue, 1), send(queue, 2), send(queue, 3)]
  await queue.close()
  await Promise.all(sending)

  expect(await reopened()).toEqual([1, 2, 3])
})
