import { setTimeout as sleep } from 'node:timers/promises'
import { S3Client } from '@aws-sdk/client-s3'
import { CreateSecretCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager'
import { GetQueueAttributesCommand, SQSClient } from '@aws-sdk/client-sqs'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { WebSocket } from 'ws'
import { type SocketClass, ZerobusSdk } from '../../sdk/index.ts'
import { s3Storage } from '../../shared/storage/s3.ts'
import type { Storage } from '../../shared/storage/storage.ts'
import { type Moto, startMoto } from '../support/moto.ts'
import { tableColumn, tableRows } from '../support/read-table.ts'
import { type Account, deployAccount } from './account.ts'
import { startFaultyEndpoint } from './faulty-endpoint.ts'
import type { HttpGateway } from './http-gateway.ts'
import { LambdaHost } from './lambda-host.ts'
import { type PushDoor, type PushDoorOptions, startPushDoor } from './push-door.ts'
import { readAssembly } from './template.ts'

const prefix = 'rehearsal-lakeflow'
const bucket = `${prefix}-123456789012-us-east-1`
const CLICKS = 'main.events.clicks'
const EVENTS = 'main.events.events'
/** The rest of a record of 400 bytes after its id: text that compresses about as well as events do. */
const BIG_RECORD = `"payload":"${Array.from({ length: 40 }, (_, i) => (i * 7919 + 13).toString(36)).join(' ')} ${'page=/products/view '.repeat(9)}"}`
/** How much JSON the second test pushes. */
const megabytes = Number(process.env.MEGABYTES ?? 24)
const token = 'a-secret-of-the-producer'

let moto: Moto
let account: Account
let storage: Storage
let client: { endpoint: string; region: string; credentials: { accessKeyId: string; secretAccessKey: string } }

beforeAll(async () => {
  moto = await startMoto()
  account = await deployAccount(readAssembly(process.env.ASSEMBLY!), moto.url)
  client = { endpoint: moto.url, region: 'us-east-1', credentials: { accessKeyId: 'test', secretAccessKey: 'test' } }
  storage = s3Storage(new S3Client({ ...client, forcePathStyle: true }), bucket, '')
  const secret = { Name: 'rehearsal/lakeflow/push/producer', SecretString: token }
  await new SecretsManagerClient(client).send(new CreateSecretCommand(secret))
  using host = new LambdaHost(account.functions, moto.env)
  const event = {
    version: '2.0',
    requestContext: { http: { method: 'PUT', path: '/api/spec' } },
    isBase64Encoded: false,
    body: `
lakehouse: s3://${bucket}
push:
  tables:
    ${CLICKS}:
      columns: { id: long not null, producer: string, payload: string }
    ${EVENTS}:
      columns: { id: long not null, producer: string, payload: string }
  tokens:
    producer: { token: '\${secret:producer}', tables: [main.events.*] }
`,
  }
  const { result } = await host.invoke(account.routes.get('ANY /api/{proxy+}')!, event)
  expect(result).toMatchObject({ statusCode: 200 })
})

afterAll(() => moto?.stop())

test('a producer opens a session, is acknowledged by the route response, and reads its rows in the table', async () => {
  await using push = await startPush()

  const stream = await push.sdk.createStream({ tableName: CLICKS })
  await stream.ingestRecordsOffset([
    { id: 1, producer: 'a', payload: 'x' },
    { id: 2, producer: 'a', payload: 'y' },
  ])
  await stream.flush()
  await stream.waitForCommit(1)
  await stream.close()

  expect(push.host.failures).toEqual([])
  expect((await tableRows(storage, 'main/events/clicks')).map(({ id }) => Number(id)).sort()).toEqual([1, 2])
  await untilEmpty()
})

test('every acknowledged record is in its table once, whatever is delivered twice, killed, throttled or refused', async () => {
  const records = Math.ceil((megabytes * 1_000_000) / BIG_RECORD.length)
  let calls = 0
  let commits = 0
  await using aws = await startFaultyEndpoint(moto.url, ({ target, body }) => {
    if (!/\.(Put|Get)Item$/.test(target)) return undefined
    calls++
    if (calls % 61 === 0) return { status: 400, type: 'ProvisionedThroughputExceededException' }
    // As when another function has taken over the commits of the table.
    const isCommitter = target.endsWith('PutItem') && body.includes('"committer"') && ++commits % 5 === 2
    return isCommitter ? { status: 400, type: 'ConditionalCheckFailedException' } : undefined
  })
  let batches = 0
  let messages = 0
  await using push = await startPush({
    env: { ...moto.env, AWS_ENDPOINT_URL_DYNAMODB: aws.url },
    faults: { deliverTwice: () => ++batches % 3 === 0 },
    throttle: () => ++messages % 97 === 0,
  })
  const victims = ['receive-events', 'flush-events', 'commit-events'].map((name) => `${prefix}-${name}`)
  const killed = new Map<string, number>()
  const killer = setInterval(() => {
    const victim = victims[Math.floor(Math.random() * victims.length)]!
    // On a slow machine every call would be killed before it ends.
    if ((killed.get(victim) ?? 0) < 5 && push.host.kill(victim)) killed.set(victim, (killed.get(victim) ?? 0) + 1)
  }, 700)

  const startedMs = Date.now()
  const lost: string[] = []
  await Promise.all(
    [0, 1].map(async (producer) => {
      const options = { onError: (error: Error) => void lost.push(error.message), recoveryTimeoutMs: 600_000 }
      const stream = await push.sdk.createStream({ tableName: EVENTS }, options)
      let last = 0n
      for (let id = producer; id < records; id += 2)
        last = await stream.ingestRecordOffset(`{"id":${id},"producer":"p${producer}",${BIG_RECORD}`)
      await stream.flush()
      await stream.waitForCommit(last)
      await stream.close()
    }),
  ).finally(() => clearInterval(killer))
  const seconds = (Date.now() - startedMs) / 1000

  const counts = await countsById(records)
  expect({ missing: counts.filter((n) => n === 0).length, doubled: counts.filter((n) => n > 1).length }).toEqual({
    missing: 0,
    doubled: 0,
  })
  expect([...aws.answered.keys()].sort()).toEqual([
    'ConditionalCheckFailedException',
    'ProvisionedThroughputExceededException',
  ])
  expect(killed.size).toBeGreaterThan(0)
  await untilEmpty()
  console.log(
    `${megabytes} MB, ${records} records in ${seconds.toFixed(0)} s; killed ${JSON.stringify([...killed])}; ` +
      `connections lost ${lost.length}; answered ${JSON.stringify([...aws.answered])}; batches twice ${Math.floor(batches / 3)}`,
  )
  summary(push.host)
}, 3_600_000)

test('the HTTP door takes records of who may write the table, once for each Idempotency-Key', async () => {
  await using push = await startPush()
  const rows = [
    { id: 9_000_001, producer: 'http', payload: 'x' },
    { id: 'nine', producer: 'http', payload: 'y' },
  ]

  const stranger = await post(push.http, rows, { authorization: 'Bearer wrong' })
  const first = await post(push.http, rows, { 'idempotency-key': 'one' })
  const again = await post(push.http, rows, { 'idempotency-key': 'one' })
  await untilEmpty()

  expect(stranger).toMatchObject({ statusCode: 403 })
  expect(first).toMatchObject({ statusCode: 200, body: { rejectedRanges: [[1, 2]] } })
  expect(again.statusCode).toBe(200)
  const stored = (await tableRows(storage, 'main/events/clicks')).filter(({ producer }) => producer === 'http')
  expect(stored.map(({ id }) => Number(id))).toEqual([9_000_001])
})

test('who has no token of ours gets no connection', async () => {
  await using push = await startPush()
  const stranger = new ZerobusSdk(push.gateway.url, { token: 'wrong', webSocket: WebSocket as unknown as SocketClass })

  const refused = stranger.createStream({ tableName: CLICKS }, { recoveryTimeoutMs: 1 })

  await expect(refused).rejects.toMatchObject({ code: 'push.unreachable' })
})

test('a frame over 32 KB and a binary one end the connection, as API Gateway does', async () => {
  await using push = await startPush()
  const closeCode = (data: string | Buffer) =>
    new Promise<number>((resolve, reject) => {
      const protocols = ['lakeflow.zerobus.v1', `bearer.${Buffer.from(token).toString('base64url')}`]
      const socket = new WebSocket(push.gateway.url, protocols)
      socket.on('open', () => socket.send(data))
      socket.on('close', resolve)
      socket.on('error', reject)
    })

  expect(await closeCode('x'.repeat(40_000))).toBe(1009)
  expect(await closeCode(Buffer.from('x'))).toBe(1003)
})

async function post({ url }: HttpGateway, rows: unknown, headers: Record<string, string>) {
  const response = await fetch(`${url}/zerobus/v1/tables/${CLICKS}/insert`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...headers },
    body: JSON.stringify(rows),
  })
  return { statusCode: response.status, body: await response.json() }
}

/** How often each id is in the table, by a reader that is not ours. */
async function countsById(records: number): Promise<Uint8Array> {
  const counts = new Uint8Array(records)
  for await (const { id } of tableColumn(storage, EVENTS.replaceAll('.', '/'), 'id')) counts[Number(id)]!++
  return counts
}

/** What each function took, as `npm run rehearse` tells it. */
function summary(host: LambdaHost) {
  for (const [name, log] of Map.groupBy(host.log, ({ name }) => name)) {
    const sum = (of: (entry: (typeof log)[number]) => number) => log.reduce((total, entry) => total + of(entry), 0)
    const cold = log.filter(({ coldStartMs }) => coldStartMs > 0)
    console.log(
      `${name}: ${log.length} calls, ${(sum((e) => e.durationMs) / 1000).toFixed(1)} s, ${cold.length} cold starts, ` +
        `${Math.max(...log.map(({ maxRssMb }) => maxRssMb)).toFixed(0)} MB`,
    )
  }
}

interface Push extends PushDoor {
  sdk: ZerobusSdk
}

/** The door of the deployment and a client of it, while the test runs. */
async function startPush(options: Partial<PushDoorOptions> = {}): Promise<Push> {
  const sqs = new SQSClient(client)
  const door = await startPushDoor(account, { env: moto.env, sqs, ...options })
  return {
    ...door,
    sdk: new ZerobusSdk(door.gateway.url, { token, webSocket: WebSocket as unknown as SocketClass }),
    async [Symbol.asyncDispose]() {
      await door[Symbol.asyncDispose]()
      sqs.destroy()
    },
  }
}

/** Every message has been handled, and none is a dead letter. */
async function untilEmpty() {
  const deadline = Date.now() + 120_000
  while ((await queueDepths()).some((depth) => depth > 0) && Date.now() < deadline) await sleep(500)
  expect(await queueDepths()).toEqual([0, 0])
  expect(await depthsOf(account.deadLetters)).toEqual(account.deadLetters.map(() => 0))
}

const queueDepths = () => depthsOf(account.mappings.map(({ queueUrl }) => queueUrl))

/** Messages, also those that are away. */
async function depthsOf(queueUrls: readonly string[]): Promise<number[]> {
  const sqs = new SQSClient(client)
  const AttributeNames = ['ApproximateNumberOfMessages', 'ApproximateNumberOfMessagesNotVisible'] as const
  return Promise.all(
    queueUrls.map(async (QueueUrl) => {
      const { Attributes } = await sqs.send(
        new GetQueueAttributesCommand({ QueueUrl, AttributeNames: [...AttributeNames] }),
      )
      return Object.values(Attributes ?? {}).reduce((sum, count) => sum + Number(count), 0)
    }),
  )
}
