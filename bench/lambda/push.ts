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

const MEGABYTES = Number(process.env.MEGABYTES ?? 200)
const TABLE = 'main.events.pushed'
const producers = 2

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
  const units = (text: string) => Math.max(1, Math.ceil(Buffer.byteLength(text) / 32_768))
  let socketUnits = 0
  const sqs = new SQSClient({})
  const door = await startPushDoor(account, {
    env,
    sqs,
    onMessage: (body, reply) => {
      socketUnits += units(body) + units(reply)
    },
  })
  const { host, gateway } = door
  const started = performance.now()
  const pushed = await Promise.all(Array.from({ length: producers }, (_, n) => push(gateway.url, token, n))).catch(
    (cause) => {
      throw new Error(`pushing failed; the functions say:\n${host.failures.slice(-10).join('\n')}`, { cause })
    },
  )
  const seconds = (performance.now() - started) / 1000
  await door[Symbol.asyncDispose]()
  const rows = pushed.reduce((sum, each) => sum + each.rows, 0)
  await requireRows(rows)
  const rawGb = pushed.reduce((sum, each) => sum + each.bytes, 0) / 1e9
  const queued = queuedOf(account, host)
  const work = {
    functions: functionWork(account, host),
    queued,
    socketUnits,
    socketMinutes: (producers * seconds) / 60,
  }
  return { work, rawGb, metrics: { ...functionMetrics([host], prefix), ...msPerMb(work, rawGb) } }
}

async function push(url: string, token: string, seed: number): Promise<{ rows: number; bytes: number }> {
  const sdk = new ZerobusSdk(url, { token, webSocket: WebSocket as unknown as SocketClass })
  const stream = await sdk.createStream({ tableName: TABLE })
  const random = seeded(seed + 1)
  let rows = 0
  let bytes = 0
  let last = 0n
  while (bytes < (MEGABYTES / producers) * 1e6) {
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
function queuedOf(account: Account, host: LambdaHost): NonNullable<Work['queued']> {
  const queued = { messages: 0, chunks: 0, fifoMessages: 0 }
  for (const { functionName, fifo } of account.mappings)
    for (const { recordBytes } of host.log.filter(({ name }) => name === functionName)) {
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
