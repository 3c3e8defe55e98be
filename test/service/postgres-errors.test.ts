import { createServer } from 'node:net'
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals'
import type { ChangeStream, SnapshotStream } from '../../shared/connector/connector.ts'
import { postgres } from '../../shared/connectors/postgres/postgres.ts'
import type { IngestError } from '../../shared/core/errors.ts'
import { collect, connect } from '../support/connector-run.ts'
import { createDatabase, type TestDatabase } from '../support/postgres.ts'

jest.setTimeout(60_000)

let database: TestDatabase

const nothing = { mode: 'snapshot', columns: [], key: [], parallelism: 1, owner: 'test' } as const
const nope = { schema: 'public', name: 'nope', columns: { fields: [] }, key: [], cursorCandidates: [], modes: [] }

beforeAll(async () => {
  database = await createDatabase()
  await database.query(`create table t (id int primary key, name text, updated_at timestamptz not null default now());
    insert into t values (1, 'secret row'), (2, 'x')`)
})
afterAll(async () => {
  await database[Symbol.asyncDispose]()
})

/** The error of some work with a connection. */
async function failure(settings: object, work: (source: Awaited<ReturnType<typeof connect>>) => Promise<unknown>) {
  await using source = await connect(postgres, { ...database.config, ...settings })
  const error = await work(source).then(
    () => undefined,
    (thrown: IngestError) => thrown,
  )
  return { code: error?.code, remedy: error?.remedy, message: error?.message }
}

const check = (source: Awaited<ReturnType<typeof connect>>) => source.connector.check(source.context)

test.each([
  ['a wrong password', { password: 'wrong' }, 'source.auth_rejected', 'fix', /password authentication failed/],
  ['no password', { password: '' }, 'source.auth_rejected', 'fix', /password/],
  [
    'a database that is not there',
    { database: 'nowhere' },
    'source.object_missing',
    'fix',
    /database "nowhere" does not exist/,
  ],
  ['a closed port', { port: 1 }, 'source.unreachable', 'retry', /check host and port/],
  ['an unknown host', { host: 'nowhere.invalid' }, 'source.unreachable', 'retry', /nowhere\.invalid/],
  ['a server without TLS', { sslmode: 'require' }, 'source.tls_rejected', 'fix', /set sslmode/],
] as const)('%s', async (_, settings, code, remedy, message) => {
  expect(await failure(settings, check)).toEqual({ code, remedy, message: expect.stringMatching(message) })
})

test('a server that never answers is unreachable after the timeout', async () => {
  const silent = createServer(() => {}).listen(0, '127.0.0.1')
  await new Promise((done) => silent.once('listening', done))
  const { port } = silent.address() as { port: number }

  const found = await failure({ port, connect_timeout_seconds: 0.2 }, check)

  expect(found.code).toBe('source.unreachable')
  silent.close()
})

test('a table that is not there, and one dropped after discovery', async () => {
  expect(await failure({}, (source) => source.connector.open(source.context, nope, nothing))).toEqual({
    code: 'source.object_missing',
    remedy: 'fix',
    message: expect.stringContaining('there is no table public.nope'),
  })
  await database.query('create table brief (id int primary key)')
  expect(
    await failure({}, async (source) => {
      const stream = (await source.open('public.brief', 'snapshot')) as SnapshotStream
      await database.query('drop table brief')
      await collect(stream.read({ kind: 'all' }))
    }),
  ).toEqual({ code: 'source.object_missing', remedy: 'fix', message: expect.stringContaining('public.brief') })
})

test('a column of the filter that is not there names the ones that are', async () => {
  const filter = { op: '=', column: 'nmae', value: { text: 'x', kind: 'string' } } as const

  const found = await failure({}, (source) => source.open('public.t', 'snapshot', { filter }))

  expect(found.code).toBe('source.object_missing')
  expect(found.message).toContain('the columns are id, name, updated_at')
})

test('a constant that is not of its column is a fault of the configuration, and is not repeated', async () => {
  const filter = { op: '=', column: 'id', value: { text: 'hunter2', kind: 'string' } } as const

  const found = await failure({}, async (source) => {
    const stream = (await source.open('public.t', 'snapshot', { filter })) as SnapshotStream
    await collect(stream.read({ kind: 'all' }))
  })

  expect(found.code).toBe('config.invalid')
  expect(found.message).not.toContain('hunter2')
})

test('a missing right names the statement that grants it, and is in the check', async () => {
  const user = `u_${database.name}`
  await database.query(
    `create role ${user} login password 'pw'; create table hidden (id int); create table half (a int, b int); grant select (a) on half to ${user}`,
  )
  const settings = { user, password: 'pw' }

  expect(await failure(settings, (source) => source.open('public.hidden', 'snapshot', { columns: ['id'] }))).toEqual({
    code: 'source.permission_denied',
    remedy: 'fix',
    message: expect.stringContaining(`grant select on "public"."hidden" to ${user}`),
  })
  await using source = await connect(postgres, { ...database.config, ...settings })
  const half = await source.discover('public.half')
  const results = await source.connector.check(source.context)
  expect(half.columns.fields.map(({ name }) => name)).toEqual(['a'])
  expect(half.unreadable).toEqual([{ column: 'b', reason: expect.stringContaining('grant select (b)') }])
  expect(results).toContainEqual(
    expect.objectContaining({ met: false, detail: expect.stringContaining('cannot read hidden, t: grant select') }),
  )
  await database.query(`drop owned by ${user}; drop role ${user}`)
})

test('sessions ended by the server are passing faults, and the next query opens another', async () => {
  await using source = await connect(postgres, database.config)
  const stream = (await source.open('public.t', 'query')) as ChangeStream
  await database.query(
    `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'lakeflow-connect' and datname = current_database()`,
  )
  await new Promise((done) => setTimeout(done, 100))

  expect(await stream.head()).toEqual({ at: [expect.any(String)] })

  await database.query('create view slow as select pg_sleep(10)::text as s')
  const view = (await source.open('public.slow', 'snapshot')) as SnapshotStream
  const reading = collect(view.read({ kind: 'all' }))
  setTimeout(() => {
    void database.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where query like 'copy%pg_sleep%' or query like 'copy%slow%'`,
    )
  }, 200)
  await expect(reading).rejects.toMatchObject({ code: 'source.unavailable', remedy: 'retry' })
})

test('too many connections are waited for', async () => {
  const user = `few_${database.name}`
  await database.query(`create role ${user} login password 'pw' connection limit 0`)

  expect((await failure({ user, password: 'pw' }, check)).code).toBe('source.throttled')

  await database.query(`drop role ${user}`)
})

test('the check of a server that is ready has nothing unmet that is not advice', async () => {
  await using source = await connect(postgres, database.config)

  const results = await source.connector.check(source.context)

  expect(results.filter((result) => !result.met && !result.advice)).toEqual([])
  expect(results.map(({ requirement }) => requirement)).toContain('wal_level = logical, for change data capture')
})
