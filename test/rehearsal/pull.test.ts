import { S3Client } from '@aws-sdk/client-s3'
import { GetScheduleCommand, SchedulerClient } from '@aws-sdk/client-scheduler'
import { CreateSecretCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager'
import { ListSubscriptionsByTopicCommand, SNSClient, SubscribeCommand } from '@aws-sdk/client-sns'
import { CreateQueueCommand, ReceiveMessageCommand, SQSClient } from '@aws-sdk/client-sqs'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { s3Storage } from '../../shared/storage/s3.ts'
import type { Storage } from '../../shared/storage/storage.ts'
import { createDatabase, type TestDatabase } from '../support/postgres.ts'
import { tableRows } from '../support/read-table.ts'
import { type Account, deployAccount } from './account.ts'
import { LambdaHost } from './lambda-host.ts'
import { execute, type Ports } from './state-machine.ts'
import { readAssembly } from './template.ts'

const prefix = 'rehearsal-lakeflow'
const bucket = `${prefix}-123456789012-us-east-1`
const streamFunction = `${prefix}-sync-stream-postgres`
const rows = 20_000

let account: Account
let database: TestDatabase
let storage: Storage
let aws: Record<string, string>

beforeAll(async () => {
  account = await deployAccount(readAssembly(process.env.ASSEMBLY!), process.env.AWS_ENDPOINT_URL!)
  aws = Object.fromEntries(Object.entries(process.env).filter(([name]) => name.startsWith('AWS_'))) as typeof aws
  storage = s3Storage(new S3Client({ forcePathStyle: true }), bucket, '')
  database = await createDatabase()
  await database.query(`
    create schema shop;
    create table shop.customers (id bigint primary key, name text, updated_at timestamptz not null default now());
    create table shop.orders (id bigint primary key, customer bigint, total numeric(12,2), updated_at timestamptz not null default now());
    create schema crm;
    create table crm.people (id bigint primary key, name text);
    create table crm.notes (id bigint primary key, name text);
    insert into crm.people select n, 'person ' || n from generate_series(1, 5000) n;
    insert into crm.notes select n, 'note ' || n from generate_series(1, 5000) n;
    insert into shop.customers select n, 'customer ' || n, now() - interval '1 hour' from generate_series(1, 500) n;
    insert into shop.orders select n, n % 500 + 1, n / 100.0, now() - interval '1 hour' from generate_series(1, ${rows}) n;
  `)
  const { host, port, database: name, user, password } = database.config
  await new SecretsManagerClient({}).send(
    new CreateSecretCommand({ Name: 'rehearsal/lakeflow/postgres/shop-password', SecretString: password }),
  )
  using host1 = new LambdaHost(account.functions, aws)
  const stored = await control(host1, 'PUT', '/api/spec', {
    text: `
lakehouse: s3://${bucket}
connections:
  shop_db:
    type: postgres
    host: ${host}
    port: ${port}
    database: ${name}
    user: ${user}
    password: \${secret:shop-password}
    sslmode: disable
pipelines:
  shop:
    schedule:
      quartz_cron_expression: 0 0/15 * * * ?
    notifications:
      - email_recipients: [oncall@example.com]
    ingestion_definition:
      connection_name: shop_db
      connector_type: QUERY_BASED
      objects:
        - schema: { source_schema: shop, destination_catalog: main, destination_schema: shop }
      table_configuration:
        query_based_connector_config: { cursor_columns: [updated_at] }
  crm:
    ingestion_definition:
      connection_name: shop_db
      connector_type: CDC
      objects:
        - schema: { source_schema: crm, destination_catalog: main, destination_schema: crm }
`,
  })
  expect(stored.status).toBe(200)
})

afterAll(async () => {
  await database?.[Symbol.asyncDispose]()
})

test('the stored schedule starts a run that copies every table into S3, exactly', async () => {
  using host = new LambdaHost(account.functions, aws)
  const schedule = await new SchedulerClient({}).send(new GetScheduleCommand({ GroupName: prefix, Name: 'shop' }))

  const output = await runMachine(host, JSON.parse(schedule.Target!.Input!))

  expect(schedule.ScheduleExpression).toBe('cron(0/15 * * * ? *)')
  expect(output).toMatchObject({ summary: { result: { status: 'COMPLETED', rows: rows + 500 } } })
  expect(host.failures).toEqual([])
  await expectEqual()
})

test('a Lambda that is killed in the middle costs a retry and no row', async () => {
  using host = new LambdaHost(account.functions, aws)
  await database.query(`
    update shop.orders set total = total + 1, updated_at = now() - interval '30 minutes' where id % 3 = 0;
    insert into shop.orders select n, 1, 1, now() - interval '30 minutes' from generate_series(${rows + 1}, ${rows + 2000}) n;
  `)
  let killed = 0
  const killer = setInterval(() => {
    if (killed < 2 && host.kill(streamFunction)) killed++
  }, 700)

  const output = await runMachine(host, input).finally(() => clearInterval(killer))

  expect(host.failures).toHaveLength(killed)
  expect(output).toMatchObject({ summary: { result: { status: 'COMPLETED' } } })
  await expectEqual()
})

test('a full copy longer than a Lambda goes on in the next one', async () => {
  await database.query(`
    create table shop.events as select n as id, repeat(md5(n::text), 20) as payload, now() - interval '20 minutes' as updated_at
      from generate_series(1, 500000) n;
    alter table shop.events add primary key (id);
  `)
  const statuses = new Set<string>()

  // How long the copy takes depends on the machine: Lambdas get shorter until one is too short for it.
  for (const timeoutMs of [8_000, 5_000, 3_000, 2_000, 1_500]) {
    const short = account.functions.map((spec) => (spec.name === streamFunction ? { ...spec, timeoutMs } : spec))
    using host = new LambdaHost(short, aws)
    const output = await runMachine(host, { ...input, full_refresh: ['events'] })
    expect(output).toMatchObject({ summary: { result: { status: 'COMPLETED' } } })
    for (const { result } of host.log) statuses.add((result as { status: string }).status)
    if (statuses.has('more')) break
  }

  expect(statuses).toContain('more')
  expect(await tableRows(storage, 'main/shop/events')).toHaveLength(500_000)
})

test('a run that overlaps another is skipped', async () => {
  using host = new LambdaHost(account.functions, aws)

  const outputs = await Promise.all([runMachine(host, input), runMachine(host, input)])

  const statuses = outputs.map((output) => (output as { plan: { result: { status: string } } }).plan.result.status)
  expect(statuses.sort()).toEqual(['planned', 'skipped'])
})

test('a table that is gone fails its own stream, and the run says so', async () => {
  using host = new LambdaHost(account.functions, aws)
  await database.query('drop table shop.customers')

  const runs = await runMachine(host, input).then(
    () => control(host, 'GET', '/api/pipelines/shop/runs'),
    () => control(host, 'GET', '/api/pipelines/shop/runs'),
  )

  const [latest] = runs.body as { state: string; streams: { stream: string; state: string }[] }[]
  expect(latest!.streams.filter(({ state }) => state === 'COMPLETED').map(({ stream }) => stream)).toEqual(
    expect.arrayContaining(['main.shop.orders']),
  )
})

test('a run that fails tells the recipients of its pipeline why', async () => {
  using host = new LambdaHost(account.functions, aws)
  const mailbox = await openMailbox('oncall@example.com')

  const failed = runMachine(host, { ...input, refresh: ['ordrs'] })

  await expect(failed).rejects.toThrow('lakeflow events')
  const notice = await mailbox.next()
  expect(notice.Subject).toBe('Lakeflow: shop is FAILED')
  expect(notice.Message).toContain('usage.invalid')
})

test('captured changes arrive through killed Lambdas, and the log is let go when every table has them', async () => {
  using host = new LambdaHost(account.functions, aws)
  const capture = { ...input, pipeline: 'crm' }
  await runMachine(host, capture)
  await database.query(`
    update crm.people set name = name || '!' where id % 2 = 0;
    delete from crm.people where id % 5 = 0;
    insert into crm.notes select n, 'late ' || n from generate_series(5001, 6000) n;
    update crm.notes set id = id + 100000 where id <= 100;
  `)
  const [{ place }] = (await database.query(`select pg_current_wal_lsn()::text as place`)) as [{ place: string }]
  let killed = 0
  const killer = setInterval(() => {
    if (killed < 2 && host.kill(streamFunction)) killed++
  }, 700)

  const output = await runMachine(host, capture).finally(() => clearInterval(killer))

  expect(output).toMatchObject({ summary: { result: { status: 'COMPLETED' } } })
  for (const table of ['people', 'notes']) {
    const source = await database.query(`select id::text, name from crm.${table} order by crm.${table}.id`)
    const copy = (await tableRows(storage, `main/crm/${table}`))
      .map((row) => ({ id: String(row.id), name: row.name }))
      .sort((a, b) => Number(a.id) - Number(b.id))
    expect(copy).toEqual(source)
  }
  const slots = await database.query(
    `select confirmed_flush_lsn >= '${place}'::pg_lsn as passed from pg_replication_slots where database = current_database()`,
  )
  expect(slots).toEqual([{ passed: true }])
})

test('the control API checks a connection through its connector, and refuses what it does not know', async () => {
  using host = new LambdaHost(account.functions, aws)

  await host.serve()
  const check = await control(host, 'POST', '/api/connections/shop_db/check')
  const typo = await control(host, 'PUT', '/api/spec', { text: 'lakehose: x' })
  const unknown = await control(host, 'GET', '/api/nothing')

  expect(check.body).toEqual(expect.arrayContaining([expect.objectContaining({ met: true })]))
  expect(typo).toMatchObject({ status: 400, body: { error: { code: 'config.invalid' } } })
  expect(unknown.status).toBe(404)
})

test('the hourly maintenance goes through every table and fails at none', async () => {
  using host = new LambdaHost(account.functions, aws)

  const { result } = await host.invoke(`${prefix}-maintain-tables`, {})

  expect(host.failures).toEqual([])
  expect(result).toEqual({ failed: 0 })
})

const input = { pipeline: 'shop', connector: 'postgres', cause: 'API_CALL' }
let executions = 0

function runMachine(host: LambdaHost, given: unknown): Promise<unknown> {
  const ports: Ports = {
    invoke: async (name, payload) => (await host.invoke(name, payload)).result,
    getJson: async (_bucket, key) => JSON.parse(Buffer.from((await storage.get(key))!).toString('utf8')),
    // A minute of waiting is a second here.
    sleep: (seconds) => new Promise((resolve) => setTimeout(resolve, (1000 * seconds) / 60)),
    random: Math.random,
  }
  const name = `execution-${++executions}-${Date.now()}`
  return execute(account.machine, given, ports, { Execution: { Name: name, Input: given } })
}

/** Receives what is published for a recipient, as their mail program would; AWS itself was asked to send it by e-mail. */
async function openMailbox(recipient: string) {
  const [sns, sqs] = [new SNSClient({}), new SQSClient({})]
  const topic = `arn:aws:sns:us-east-1:123456789012:${prefix}-notices`
  const { Subscriptions } = await sns.send(new ListSubscriptionsByTopicCommand({ TopicArn: topic }))
  expect(Subscriptions).toMatchObject([{ Protocol: 'email', Endpoint: recipient }])
  const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: 'mailbox' }))
  const Attributes = { FilterPolicy: JSON.stringify({ recipient: [recipient] }) }
  const Endpoint = 'arn:aws:sqs:us-east-1:123456789012:mailbox'
  await sns.send(new SubscribeCommand({ TopicArn: topic, Protocol: 'sqs', Endpoint, Attributes }))
  return {
    async next(): Promise<{ Subject: string; Message: string }> {
      const { Messages } = await sqs.send(new ReceiveMessageCommand({ QueueUrl, WaitTimeSeconds: 5 }))
      return JSON.parse(Messages![0]!.Body!)
    },
  }
}

async function control(host: LambdaHost, method: string, path: string, { text }: { text?: string } = {}) {
  const event = {
    version: '2.0',
    rawPath: path,
    requestContext: { http: { method, path } },
    isBase64Encoded: false,
    ...(text !== undefined && { body: text }),
  }
  const { result } = await host.invoke(account.routes.get('ANY /api/{proxy+}')!, event)
  const { statusCode, body } = result as { statusCode: number; body: string }
  return { status: statusCode, body: JSON.parse(body) }
}

/** Every row of both tables, by key, as text. */
async function expectEqual() {
  for (const table of ['customers', 'orders']) {
    const column = table === 'orders' ? 'total' : 'name'
    const source = await database.query(
      `select id::text, ${column}::text as value from shop.${table} order by shop.${table}.id`,
    )
    const copy = (await tableRows(storage, `main/shop/${table}`))
      .map((row) => ({ id: String(row.id), value: String(row[column]) }))
      .sort((a, b) => Number(a.id) - Number(b.id))
    const text = (rows: readonly Record<string, unknown>[]) =>
      rows.map(({ id, value }) => `${id} ${table === 'orders' ? Number(value).toFixed(2) : value}`)
    expect(text(copy)).toEqual(text(source))
  }
}
