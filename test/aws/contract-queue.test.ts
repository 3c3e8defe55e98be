import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { CreateQueueCommand, SQSClient } from '@aws-sdk/client-sqs'
import { afterAll, expect, test } from '@jest/globals'
import { sqsQueue } from '../../shared/queue/sqs.ts'
import { memoryStorage } from '../../shared/storage/memory.ts'
import { queueContract } from '../contract/queue.contract.ts'

const client = new SQSClient({})
afterAll(() => client.destroy())

async function create() {
  const { QueueUrl } = await client.send(
    new CreateQueueCommand({
      QueueName: `events-${randomUUID()}`,
      Attributes: { MaximumMessageSize: String(1024 * 1024) },
    }),
  )
  const storage = memoryStorage()
  return { storage, queue: sqsQueue(client, QueueUrl!, { storage, prefix: 'queue', waitSeconds: 0 }) }
}

queueContract(async () => {
  const { queue } = await create()
  return { queue, pass: sleep, visibilityMs: 5_000, close: () => queue.close() }
})

const all = { maxBytes: 1e9, maxRecords: 100, visibilityMs: 60_000 }
const record = (bytes: number) => ({ group: 'g', header: { bytes }, body: new Uint8Array(bytes).fill(7) })

test('a record that is cheaper as an object goes by way of storage, and is removed with it', async () => {
  const { storage, queue } = await create()
  await queue.send([record(300_000), record(343_000), record(345_000), record(5_000_000)])

  const objects = await Array.fromAsync(storage.list('queue/'))
  expect(objects).toHaveLength(2)
  const received = await queue.receive(all)
  expect(received.map(({ body }) => body.length).sort()).toEqual([300_000, 343_000, 345_000, 5_000_000].sort())
  await queue.delete(received.map(({ receipt }) => receipt))

  expect(await Array.fromAsync(storage.list(''))).toEqual([])
  expect(await queue.depth()).toMatchObject({ records: 0 })
})

test('a message whose object is gone was deleted before, and is not received', async () => {
  const { storage, queue } = await create()
  await queue.send([record(2_000_000), record(10)])
  const [object] = await Array.fromAsync(storage.list(''))
  await storage.delete([object!.path])

  expect(await queue.receive(all)).toMatchObject([{ header: { bytes: 10 } }])
})

test('a missing queue is storage.missing, and one that does not answer is queue.unavailable', async () => {
  const options = { storage: memoryStorage(), prefix: 'queue' }
  const missing = sqsQueue(client, `${process.env.AWS_ENDPOINT_URL}/123456789012/not-there`, options)
  await expect(missing.depth()).rejects.toMatchObject({ code: 'storage.missing' })

  const nowhere = new SQSClient({ endpoint: 'http://127.0.0.1:1', maxAttempts: 2 })
  await expect(sqsQueue(nowhere, 'http://127.0.0.1:1/q', options).send([record(1)])).rejects.toMatchObject({
    code: 'queue.unavailable',
  })
  nowhere.destroy()
})
