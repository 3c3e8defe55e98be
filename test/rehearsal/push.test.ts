import { S3Client } from '@aws-sdk/client-s3'
import { CreateSecretCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager'
import { GetQueueAttributesCommand, SQSClient } from '@aws-sdk/client-sqs'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { WebSocket } from 'ws'
import { type SocketClass, ZerobusSdk } from '../../sdk/index.ts'
import { s3Storage } from '../../shared/storage/s3.ts'
import type { Storage } from '../../shared/storage/storage.ts'
import { type Moto, startMoto } from '../support/moto.ts'
import { tableRows } from '../support/read-table.ts'
import { type Account, deployAccount } from './account.ts'
import { type Faults, pollQueue } from './event-sources.ts'
import { LambdaHost } from './lambda-host.ts'
import { type Gateway, startGateway } from './socket-gateway.ts'
import { readAssembly } from './template.ts'

const prefix = 'rehearsal-lakeflow'
const bucket = `${prefix}-123456789012-us-east-1`
const CLICKS = 'main.events.clicks'
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
  await expect(queueDepths()).resolves.toEqual([0, 0])
})

interface Push extends AsyncDisposable {
  host: LambdaHost
  gateway: Gateway
  sdk: ZerobusSdk
}

/** The deployed functions behind a gateway and event sources, while the test runs. */
async function startPush({
  faults = {},
  env = moto.env,
}: {
  faults?: Faults
  env?: Record<string, string>
} = {}): Promise<Push> {
  const host = new LambdaHost(account.functions, env)
  const call = (name: string) => async (event: unknown) => (await host.invoke(name, event)).result as never
  const { functionName, identityHeaders } = account.socketAuthorizer
  const gateway = await startGateway({
    identityHeaders,
    authorize: call(functionName),
    connect: call(account.routes.get('$connect')!),
    message: atMost(4, call(account.routes.get('$default')!)),
    disconnect: call(account.routes.get('$disconnect')!),
  })
  const stop = new AbortController()
  const sqs = new SQSClient(client)
  const sources = account.mappings.map((mapping) => pollQueue(mapping, { sqs, host, signal: stop.signal, faults }))
  return {
    host,
    gateway,
    sdk: new ZerobusSdk(gateway.url, { token, webSocket: WebSocket as unknown as SocketClass }),
    async [Symbol.asyncDispose]() {
      stop.abort()
      await gateway.close()
      await Promise.all(sources)
      host[Symbol.dispose]()
      sqs.destroy()
    },
  }
}

/** Calls wait when so many run, as this machine has few cores; Lambda would start as many environments. */
function atMost<T>(limit: number, work: (event: unknown) => Promise<T>): (event: unknown) => Promise<T> {
  const waiting: (() => void)[] = []
  let running = 0
  return async (event) => {
    if (running >= limit) await new Promise<void>((resolve) => waiting.push(resolve))
    running++
    try {
      return await work(event)
    } finally {
      running--
      waiting.shift()?.()
    }
  }
}

/** Messages, also those that are away, of each queue that an event source reads. */
async function queueDepths(): Promise<number[]> {
  const sqs = new SQSClient(client)
  const AttributeNames = ['ApproximateNumberOfMessages', 'ApproximateNumberOfMessagesNotVisible'] as const
  return Promise.all(
    account.mappings.map(async ({ queueUrl: QueueUrl }) => {
      const { Attributes } = await sqs.send(
        new GetQueueAttributesCommand({ QueueUrl, AttributeNames: [...AttributeNames] }),
      )
      return Object.values(Attributes ?? {}).reduce((sum, count) => sum + Number(count), 0)
    }),
  )
}
