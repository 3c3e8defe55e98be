import { S3Client } from '@aws-sdk/client-s3'
import { CreateSecretCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager'
import { SQSClient } from '@aws-sdk/client-sqs'
import { WebSocket } from 'ws'
import { type SocketClass, ZerobusSdk } from '../../sdk/index.ts'
import { readSnapshot } from '../../shared/delta/snapshot.ts'
import { s3Storage } from '../../shared/storage/s3.ts'
import type { Account } from '../../test/rehearsal/account.ts'
import type { LambdaHost } from '../../test/rehearsal/lambda-host.ts'
import { startPushDoor } from '../../test/rehearsal/push-door.ts'
import { dataSets, seeded } from '../columnar/data.ts'
import type { Work } from '../cost/model.ts'
import { functionMetrics, functionWork } from './function-work.ts'
import { bucket, prefix, storeSpec } from './spec.ts'

const MEGABYTES = Number(process.env.MEGABYTES ?? 400)
const TABLE = 'main.events.pushed'
const producers = 2
/** What API Gateway counts as one message of a WebSocket, and as one request of an HTTP API. */
const SOCKET_UNIT = 32_768
const REQUEST_UNIT = 524_288

/** Events of 400 bytes through the gateway, the functions and both queues until they are in the table. */
export async function measurePush(
  account: Account,
  env: Record<string, string>,
): Promise<{ work: Work; rawGb: number; metrics: Record<string, number> }> {
  const token = 'a-token-of-the-bench'
  const secret = { Name: 'rehearsal/lakeflow/push/bench', SecretString: token }
  await new SecretsManagerClient({}).send(new CreateSecretCommand(secret))
  await storeSpec(
    account,
    env,
    `
lakehouse: s3://${bucket}
push:
  tables:
    ${TABLE}:
      columns: { event_id: string not null, user_id: long not null, session: string, action: string, event_time: timestamp not null,
        price: double, quantity: integer, is_member: boolean, referrer: string, score: double,
        device: 'struct<country:string,agent:string,width:integer>', tags: array<string> }
  tokens:
    bench: { token: '\${secret:bench}', tables: [main.events.*] }
`,
  )
  const units = { socket: 0, requests: 0, bytes: 0 }
  const started = (bytes: number, unit: number) => Math.max(1, Math.ceil(bytes / unit))
  const door = await startPushDoor(account, {
    env,
    sqs: new SQSClient({}),
    onMessage: (bytes, replyBytes) => {
      units.socket += started(bytes, SOCKET_UNIT) + started(replyBytes, SOCKET_UNIT)
      units.bytes += bytes
    },
    onRequest: (bytes) => {
      units.requests += started(bytes, REQUEST_UNIT)
      units.bytes += bytes
    },
  })
  const { host, gateway } = door
  const pushAll = (megabytes: number, seed: number) =>
    Promise.all(Array.from({ length: producers }, (_, n) => push(gateway.url, token, megabytes, seed + n))).catch(
      (cause) => {
        throw new Error(`pushing failed; the functions say:\n${host.failures.slice(-10).join('\n')}`, { cause })
      },
    )
  // Until the environments are there and their code is compiled: what follows is the price of a gigabyte among many.
  const warmUp = await pushAll(MEGABYTES / 4, 1)
  const cold = host.log.length
  Object.assign(units, { socket: 0, requests: 0, bytes: 0 })
  const startedMs = performance.now()
  const pushed = await pushAll(MEGABYTES, 100)
  const seconds = (performance.now() - startedMs) / 1000
  await door[Symbol.asyncDispose]()
  await requireRows([...warmUp, ...pushed].reduce((sum, each) => sum + each.rows, 0))
  const rawGb = pushed.reduce((sum, each) => sum + each.bytes, 0) / 1e9
  const warm = host.log.slice(cold)
  const work = {
    functions: functionWork(account, warm),
    queued: queuedOf(account, warm),
    socketUnits: units.socket,
    socketMinutes: (producers * seconds) / 60,
    requestUnits: units.requests,
    keptGb: units.bytes / 1e9,
  }
  return { work, rawGb, metrics: { ...functionMetrics([host], prefix), ...msPerMb(work, rawGb) } }
}

async function push(
  url: string,
  token: string,
  megabytes: number,
  seed: number,
): Promise<{ rows: number; bytes: number }> {
  const sdk = new ZerobusSdk(url, { token, webSocket: WebSocket as unknown as SocketClass })
  const stream = await sdk.createStream({ tableName: TABLE })
  const random = seeded(seed)
  let rows = 0
  let bytes = 0
  let last = 0n
  while (bytes < (megabytes / producers) * 1e6) {
    const records = Array.from({ length: 500 }, () => dataSets.events!.record(random, rows++))
    for (const record of records) bytes += record.length + 1
    last = BigInt((await stream.ingestRecordsOffset(records))!)
  }
  await stream.flush()
  await stream.waitForCommit(last)
  await stream.close()
  return { rows, bytes }
}

/** What event sources handed to the functions, in messages and in pieces of 64 KB. */
function queuedOf(account: Account, log: LambdaHost['log']): NonNullable<Work['queued']> {
  const queued = { messages: 0, chunks: 0, fifoMessages: 0 }
  for (const { functionName, fifo } of account.mappings)
    for (const { recordBytes } of log.filter(({ name }) => name === functionName)) {
      if (fifo) queued.fifoMessages += recordBytes.length
      else queued.messages += recordBytes.length
      if (!fifo) for (const bytes of recordBytes) queued.chunks += Math.max(1, Math.ceil(bytes / 65_536))
    }
  return queued
}

async function requireRows(rows: number): Promise<void> {
  const table = await readSnapshot(s3Storage(new S3Client({ forcePathStyle: true }), bucket, ''), 'main/events/pushed')
  const counts = [...table!.files.values()].map(
    ({ stats }) => (JSON.parse(stats!) as { numRecords: number }).numRecords,
  )
  const found = counts.reduce((sum, count) => sum + count, 0)
  if (found !== rows) throw new Error(`${rows} rows were pushed and the table has ${found}`)
}

const msPerMb = (work: Work, rawGb: number) =>
  Object.fromEntries(
    Object.entries(work.functions).map(([name, { cpuMs }]) => [
      `cpuMsPerMb.${name.slice(prefix.length)}`,
      cpuMs / (rawGb * 1000),
    ]),
  )
