import { CreateQueueCommand, SQSClient } from '@aws-sdk/client-sqs'
import { expect, test } from '@jest/globals'
import { sqsQueue } from '../../shared/queue/sqs.ts'
import { moveMessages } from '../../shared/queue/sqs-move.ts'
import { memoryStorage } from '../../shared/storage/memory.ts'

const client = new SQSClient({})
const storage = memoryStorage()

async function fifoQueue(name: string): Promise<string> {
  const Attributes = { FifoQueue: 'true', ContentBasedDeduplication: 'true' }
  const { QueueUrl } = await client.send(new CreateQueueCommand({ QueueName: `${name}.fifo`, Attributes }))
  return QueueUrl!
}

const open = (url: string) => sqsQueue(client, url, { storage, prefix: 'q', waitSeconds: 0, fifo: true })
const record = (group: string, n: number) => ({ group, header: { n }, body: Buffer.from(`body ${n}`) })
const everything = { maxBytes: 1 << 20, maxRecords: 100, visibilityMs: 30_000 }

test('while records of a group are away with one consumer, the rest of it waits, and other groups do not', async () => {
  const queue = open(await fifoQueue('groups'))
  const long = `main.events.${'t'.repeat(200)}`
  await queue.send([record(long, 1)])

  const first = await queue.receive(everything)
  await queue.send([record(long, 2), record('main.events.b', 3)])
  const meanwhile = await queue.receive(everything)
  await queue.delete(first.map(({ receipt }) => receipt))
  const after = await queue.receive(everything)

  expect(first.map(({ header }) => header.n)).toEqual([1])
  expect(meanwhile.map(({ header }) => header.n)).toEqual([3])
  expect(after.map(({ header }) => header.n)).toEqual([2])
})

test('dead letters move back whole, each once, with their group', async () => {
  const [dead, work] = [await fifoQueue('dead'), await fifoQueue('work')]
  await open(dead).send([record('main.events.a', 1), record('main.events.b', 2)])

  const moved = await moveMessages(dead, work)
  const again = await moveMessages(dead, work)
  const received = await open(work).receive(everything)

  expect([moved, again]).toEqual([2, 0])
  expect(received.map(({ group, header }) => [group, header.n]).sort()).toEqual([
    ['main.events.a', 1],
    ['main.events.b', 2],
  ])
})
