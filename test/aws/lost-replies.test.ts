import { randomUUID } from 'node:crypto'
import { CreateTableCommand, DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3'
import { CreateQueueCommand, SQSClient } from '@aws-sdk/client-sqs'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { sqsQueue } from '../../shared/queue/sqs.ts'
import { dynamoState } from '../../shared/state/dynamodb.ts'
import { memoryStorage } from '../../shared/storage/memory.ts'
import { s3Storage } from '../../shared/storage/s3.ts'
import { loseNextReply } from '../support/lost-replies.ts'

const name = `lost-${randomUUID()}`
const s3 = new S3Client({ forcePathStyle: true })
const dynamo = new DynamoDBClient({})
const sqs = new SQSClient({})
const storage = s3Storage(s3, name, 'lake', { partBytes: 5 * 1024 * 1024 })
const state = dynamoState(dynamo, name)
const entry = (sort: string) => ({ partition: randomUUID(), sort })

beforeAll(async () => {
  await s3.send(new CreateBucketCommand({ Bucket: name }))
  await dynamo.send(
    new CreateTableCommand({
      TableName: name,
      BillingMode: 'PAY_PER_REQUEST',
      AttributeDefinitions: ['pk', 'sk'].map((AttributeName) => ({ AttributeName, AttributeType: 'S' as const })),
      KeySchema: [
        { AttributeName: 'pk', KeyType: 'HASH' },
        { AttributeName: 'sk', KeyType: 'RANGE' },
      ],
    }),
  )
})
afterAll(() => {
  for (const client of [s3, dynamo, sqs]) client.destroy()
})

test('an entry written under a lost reply is known to be written', async () => {
  const key = entry('a')
  loseNextReply(dynamo, 'PutItemCommand')

  const created = await state.write([{ ...key, value: 1, expect: 'absent' }])

  expect(created).toEqual([(await state.read(key))?.version])
  loseNextReply(dynamo, 'PutItemCommand')
  const replaced = await state.write([{ ...key, value: 2, expect: created![0]! }])
  expect(await state.read(key)).toMatchObject({ value: 2, version: replaced![0] })
})

test('a transaction under a lost reply is known to be written', async () => {
  const key = entry('a')
  const other = { ...key, sort: 'b' }
  await state.write([{ ...other, value: 0, expect: 'absent' }])
  loseNextReply(dynamo, 'TransactWriteItemsCommand')

  const versions = await state.write([
    { ...key, value: 1, expect: 'absent' },
    { ...other, remove: true, expect: (await state.read(other))!.version },
  ])

  expect(versions).toEqual([(await state.read(key))?.version, 0])
  expect(await state.read(other)).toBeUndefined()
})

test('a removal under a lost reply is unknown, and says so', async () => {
  const key = entry('a')
  const [version] = (await state.write([{ ...key, value: 1, expect: 'absent' }]))!
  loseNextReply(dynamo, 'DeleteItemCommand')

  await expect(state.write([{ ...key, remove: true, expect: version! }])).rejects.toMatchObject({
    code: 'state.unavailable',
    remedy: 'retry',
  })
})

test('an object replaced under a lost reply is known to be replaced', async () => {
  await storage.put('swap', Buffer.from('one'))
  const { tag } = (await storage.getTagged('swap'))!
  loseNextReply(s3, 'PutObjectCommand')

  const next = await storage.putIfMatch('swap', Buffer.from('two'), tag)

  expect(next).toBe((await storage.getTagged('swap'))?.tag)
})

test('put-if-absent under a lost reply may say false, and the object is there', async () => {
  loseNextReply(s3, 'PutObjectCommand')

  expect(await storage.putIfAbsent('once', Buffer.from('one'))).toBe(false)
  expect(Buffer.from((await storage.get('once'))!).toString()).toBe('one')
})

test('a streamed object completed under a lost reply is finished', async () => {
  const writer = storage.writer('streamed')
  await writer.write(new Uint8Array(12 * 1024 * 1024))
  loseNextReply(s3, 'CompleteMultipartUploadCommand')

  await writer.finish()

  expect(await storage.get('streamed')).toHaveLength(12 * 1024 * 1024)
})

test('a record sent under a lost reply is received, be it twice', async () => {
  const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: name }))
  const queue = sqsQueue(sqs, QueueUrl!, { storage: memoryStorage(), prefix: 'queue', waitSeconds: 0 })
  loseNextReply(sqs, 'SendMessageBatchCommand')

  await queue.send([{ group: 'g', header: { n: 1 }, body: Buffer.from('x') }])

  const received = await queue.receive({ maxBytes: 1e6, maxRecords: 10, visibilityMs: 60_000 })
  expect(received.map(({ header }) => header.n)).toEqual([1, 1])
})
