import { generateKeyPairSync } from 'node:crypto'
import { expect, test } from '@jest/globals'
import type { ChangeStream, Connector, Selection, SnapshotStream } from '../../shared/connector/connector.ts'
import { salesforce } from '../../shared/connectors/salesforce/salesforce.ts'
import type { Message } from '../../shared/core/change.ts'
import type { Json } from '../../shared/core/json.ts'
import { defineFiles, defineThings, thing } from '../fixtures/salesforce/corpus.ts'
import { REFRESH_TOKEN, refuse } from '../fixtures/salesforce/endpoints.ts'
import { type SimulatedOrg, simulatedOrg } from '../fixtures/salesforce/world.ts'
import { connect } from '../support/connector-run.ts'
import { Replica } from '../support/replica.ts'
import { hurriedClock } from '../support/simulator/faults.ts'

const asConnector = salesforce as Connector
const DAY_MS = 86_400_000

/** An org with an object of `rows` rows, an hour old. */
async function orgWith(rows: number, settings: Record<string, unknown> = {}) {
  const world = await simulatedOrg(settings)
  const things = defineThings(world.org.store)
  for (let number = 1; number <= rows; number++) world.org.store.insert(things, thing(number))
  world.simulator.pass(3_600_000)
  return { ...world, things, store: world.org.store, ids: () => [...things.rows.keys()] }
}

const open = async (
  world: SimulatedOrg,
  more: { mode?: 'query' | 'snapshot'; table?: string; settings?: object; selection?: Partial<Selection> } = {},
) => {
  const source = await connect(asConnector, { ...world.settings, ...more.settings }, hurriedClock)
  const stream = await source.open(more.table ?? 'objects.Thing__c', more.mode ?? 'query', more.selection)
  return { source, stream: stream as ChangeStream }
}

const all = async (messages: AsyncIterable<Message<Json>>) => Array.fromAsync(messages)
const paths = ({ simulator }: SimulatedOrg) => simulator.log.map(({ path, query }) => path + decodeURIComponent(query))

test.each(['client_credentials', 'refresh_token', 'jwt_bearer'])('signs in by %s', async (auth) => {
  await using world = await orgWith(1)
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const private_key = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  const settings = { ...world.settings, auth, refresh_token: REFRESH_TOKEN, username: 'sync@example.com', private_key }

  await using source = await connect(asConnector, settings, hurriedClock)

  expect(await source.connector.check(source.context)).toContainEqual(
    expect.objectContaining({ requirement: 'objects can be read', met: true }),
  )
})

test('a flow without what it needs is refused before anything is sent', () => {
  const problem = salesforce.config.safeParse({ auth: 'jwt_bearer', client_id: 'x' }).error

  expect(problem?.issues.map(({ message }) => message)).toEqual([
    'auth: jwt_bearer needs username',
    'auth: jwt_bearer needs private_key',
  ])
})

test.each([
  ['REST', {}],
  ['bulk', { bulk_threshold_rows: 0, bulk_chunk_rows: 40 }],
])('a token that expires every few requests is replaced in the middle of a copy by %s', async (_, settings) => {
  await using world = await orgWith(100, settings)
  world.org.rules.tokenRequests = 3
  world.org.rules.pageRows = 9
  world.org.jobs.pageRows = 9
  const { stream } = await open(world)
  const replica = new Replica(stream)

  await replica.load()

  expect(replica.rows.size).toBe(100)
  expect(paths(world).filter((path) => path.includes('oauth2')).length).toBeGreaterThan(3)
})

test('deletes are found in the recycle bin and in the delete log, also when the log is late', async () => {
  await using world = await orgWith(20)
  const { stream } = await open(world)
  const replica = new Replica(stream)
  await replica.load()
  const [soft, hard, back] = world.ids() as [string, string, string]
  world.store.deleteLagMs = 300_000

  world.store.remove(world.things, soft)
  world.store.erase(world.things, hard)
  world.store.remove(world.things, back)
  world.simulator.pass(120_000)
  await replica.follow()
  const early = [...replica.rows.keys()].map((key) => JSON.parse(key)[0])
  world.store.restore(world.things, back)
  world.simulator.pass(600_000)
  await replica.follow()
  const late = [...replica.rows.keys()].map((key) => JSON.parse(key)[0])

  expect(early).not.toContain(soft)
  expect(early).toContain(hard)
  expect(late).not.toContain(hard)
  expect(late).toContain(back)
  expect(late).toHaveLength(18)
})

test.each([
  ['older than the log reaches', (world: Awaited<ReturnType<typeof orgWith>>) => world.simulator.pass(16 * DAY_MS)],
  [
    'purged',
    (world: Awaited<ReturnType<typeof orgWith>>) => {
      world.simulator.pass(DAY_MS)
      world.things.purgedUpTo = world.simulator.now() - 3_600_000
    },
  ],
])('a delete log that is %s has the keys compared', async (_, pass) => {
  await using world = await orgWith(20)
  const { stream } = await open(world)
  const replica = new Replica(stream)
  await replica.load()
  expect(stream.mustSweepSince!(replica.cursor)).toBeUndefined()
  world.store.erase(world.things, world.ids()[0]!)

  pass(world)
  await replica.follow()
  const missed = replica.rows.size
  expect(stream.mustSweepSince!(replica.cursor)).toBeLessThanOrEqual(Date.now())
  await replica.sweep()

  expect([missed, replica.rows.size]).toEqual([20, 19])
})

test('more deletes in a few minutes than the log gives at once have the keys compared', async () => {
  await using world = await orgWith(20)
  const { stream } = await open(world)
  const replica = new Replica(stream)
  await replica.load()
  world.store.erase(world.things, world.ids()[0]!)
  world.simulator.pass(3_600_000)
  world.simulator.fault = ({ path }) =>
    path.endsWith('/deleted/') ? refuse(400, 'EXCEEDED_ID_LIMIT', 'ID limit exceeded') : undefined
  await replica.follow()
  await replica.sweep()

  expect(stream.mustSweepSince!(replica.cursor)).toBeLessThanOrEqual(Date.now())
  expect(replica.rows.size).toBe(19)
})

test('a row whose transaction ends later than the time it bears is found by looking back', async () => {
  await using world = await orgWith(5)
  const { stream } = await open(world)
  const replica = new Replica(stream)
  await replica.load()
  const late = world.store.insert(world.things, thing(6))
  world.things.seenFrom.set(late, world.simulator.now() + 240_000)
  world.simulator.pass(60_000)
  await replica.follow()
  const before = replica.rows.size

  world.simulator.pass(300_000)
  await replica.follow()

  expect([before, replica.rows.size]).toEqual([5, 6])
})

test('a table that only grows gets no row twice, and late ones too', async () => {
  await using world = await orgWith(5)
  const { stream } = await open(world, { selection: { appendOnly: true } })
  let cursor = await stream.head()
  const added: unknown[] = []
  for (let round = 0; round < 30; round++) {
    if (round < 10) {
      const id = world.store.insert(world.things, thing(round))
      world.things.seenFrom.set(id, world.simulator.now() + (round % 3) * 100_000)
    }
    world.simulator.pass(100_000)
    for (const message of await all(stream.changes(cursor)))
      if (message.op === 'checkpoint') cursor = message.cursor
      else if (message.op === 'block')
        added.push(...JSON.parse(Buffer.from(message.bytes).toString()).map(({ Id }: { Id: string }) => Id))
  }

  expect(added.sort()).toEqual(world.ids().slice(5).sort())
})

test('formula fields are read again by themselves, page by page, and only they', async () => {
  await using world = await orgWith(10, { formula_interval_seconds: 3_600 })
  world.org.rules.pageRows = 4
  const { stream } = await open(world)
  const replica = new Replica(stream)
  await replica.load()
  const formula = world.things.fields.find(({ name }) => name === 'Doubled__c')!
  formula.formula = (row) => Number(row.Amount__c) * 3

  world.simulator.pass(1_800_000)
  await replica.follow()
  const early = replica.sorted().map(({ Doubled__c }) => Number(Doubled__c))
  world.simulator.pass(3_600_000)
  const asked = world.simulator.log.length
  // Killed after a page, and resumed.
  await replica.follow(stream, 7)
  await replica.follow()
  const rereads = paths(world)
    .slice(asked)
    .filter((path) => path.includes('Doubled__c') && !path.includes('Notes__c'))

  expect(early).toEqual(replica.sorted().map(({ Amount__c }) => Number(Amount__c) * 2))
  expect(replica.sorted().map(({ Doubled__c }) => Number(Doubled__c))).toEqual(
    replica.sorted().map(({ Amount__c }) => Number(Amount__c) * 3),
  )
  expect(replica.sorted().filter(({ Name }) => Name === null)).toEqual([])
  expect(rereads.join('\n')).toMatch(/SELECT Id,SystemModstamp,Doubled__c FROM Thing__c WHERE .*Id > '/)
})

test('files are fetched and values of any type are texts, where files are wanted', async () => {
  await using world = await orgWith(0, { base64_fields: 'read' })
  const files = defineFiles(world.store)
  world.store.insert(files, { Name: 'one', Body: Buffer.from('file one').toString('base64'), Was: 12 })
  world.store.insert(files, { Name: 'two', Body: null, Was: 'text' })
  world.simulator.pass(60_000)

  const { stream } = await open(world, { table: 'objects.Attachment', mode: 'snapshot' })
  const messages = await all((stream as unknown as SnapshotStream).read({ bulk: false }))

  expect(messages.filter(({ op }) => op === 'upsert')).toMatchObject([
    { row: { Name: 'one', Body: Buffer.from('file one'), Was: '12' } },
    { row: { Name: 'two', Body: null, Was: 'text' } },
  ])
})

test('compound fields, files and fields hidden from the user are reported with the reason', async () => {
  await using world = await orgWith(1)
  defineFiles(world.store)
  world.things.fields.find(({ name }) => name === 'Secret__c')!.hidden = true
  await using source = await connect(asConnector, world.settings, hurriedClock)

  const things = await source.discover('objects.Thing__c')
  const files = await source.discover('objects.Attachment')

  expect(things.unreadable).toEqual([
    { column: 'Secret__c', reason: 'is hidden by field-level security: grant Read in a permission set' },
    { column: 'Home__c', reason: 'is compound, and its parts are columns of their own' },
    { column: 'Spot__c', reason: 'is compound, and its parts are columns of their own' },
  ])
  expect(things.columns.fields.map(({ name }) => name)).not.toContain('Secret__c')
  expect(files.unreadable).toEqual([
    { column: 'Body', reason: 'holds a file; set base64_fields: read on the connection to take it' },
  ])
})

test('the cursor is the best field the object has', async () => {
  await using world = await orgWith(0)
  const logins = world.store.define('LoginHistory', '0Ya', [{ name: 'LoginTime', type: 'datetime', nillable: false }])
  logins.fields = logins.fields.filter(({ name }) => ['Id', 'LoginTime'].includes(name))
  const bare = world.store.define('CaseStatus', '01J', [])
  bare.fields = bare.fields.filter(({ name }) => name === 'Id')
  await using source = await connect(asConnector, world.settings, hurriedClock)

  expect((await source.discover('objects.Thing__c')).cursorCandidates).toEqual([
    'SystemModstamp',
    'LastModifiedDate',
    'CreatedDate',
  ])
  expect(await source.discover('objects.LoginHistory')).toMatchObject({
    cursorCandidates: ['LoginTime'],
    modes: ['query', 'snapshot'],
  })
  expect(await source.discover('objects.CaseStatus')).toMatchObject({ cursorCandidates: [], modes: ['snapshot'] })
})

test('reading stops at the share of the API calls that the connection may use', async () => {
  await using world = await orgWith(50, { max_api_usage: 0.5 })
  world.org.rules.apiLimit = 40
  world.org.rules.pageRows = 1
  const { stream } = await open(world)

  await expect(new Replica(stream).load()).rejects.toMatchObject({ code: 'source.quota_spent' })
  expect(world.org.used).toBe(21)
})

test('no more bulk jobs run at once than the connection may have, and all are deleted', async () => {
  await using world = await orgWith(60, { bulk_threshold_rows: 0, bulk_chunk_rows: 6, max_bulk_jobs: 2 })
  const { stream } = await open(world)
  const cutoff = await stream.head()
  const pieces = await stream.split(cutoff)

  await Promise.all(pieces.map((piece) => all(stream.backfill(piece, cutoff))))

  expect(pieces.length).toBeGreaterThan(5)
  expect(world.org.jobs.mostAtOnce).toBe(2)
  expect(world.org.jobs.jobs.size).toBe(0)
})

test('a bulk job that an earlier run began is taken up; one that is gone is made anew from the last id', async () => {
  await using world = await orgWith(60, { bulk_threshold_rows: 0 })
  world.org.jobs.pageRows = 20
  const { stream } = await open(world)
  const cutoff = await stream.head()
  const [piece] = await stream.split(cutoff)
  const places: Json[] = []
  for await (const message of stream.backfill(piece!, cutoff)) {
    if (message.op === 'checkpoint') places.push(message.cursor)
    if ((message as { cursor?: { after?: string } }).cursor?.after) break
  }
  const rest = places.at(-1)!
  const taken = await all(stream.backfill(rest, cutoff))
  expect(world.org.jobs.made).toBe(1)

  world.org.jobs.jobs.clear()
  const again = await all(stream.backfill(rest, cutoff))

  expect(world.org.jobs.made).toBe(2)
  const lines = (messages: Message<Json>[]) =>
    messages.flatMap((message) =>
      message.op === 'block'
        ? Buffer.from(message.bytes)
            .toString()
            .match(/a0B\w{15}/g)!
        : [],
    )
  expect(lines(taken)).toEqual(world.ids().slice(20))
  expect(lines(again)).toEqual(lines(taken))
})

test('the bulk job of an increment is taken up by the next run, and a row that went meanwhile stays gone', async () => {
  await using world = await orgWith(30, { bulk_threshold_rows: 5, lookback_seconds: 0 })
  world.org.jobs.pageRows = 10
  const { stream } = await open(world)
  const replica = new Replica(stream)
  await replica.load()
  world.simulator.pass(60_000)
  for (const id of world.ids().slice(0, 25)) world.store.update(world.things, id, { Name: 'changed' })
  world.simulator.pass(60_000)
  const { made } = world.org.jobs

  // Killed while the job is waited for, and once more while its rows are read.
  await replica.follow(stream, 3)
  await replica.follow((await open(world)).stream, 2)
  expect(replica.cursor).toMatchObject({ window: { job: {} } })
  expect(world.org.jobs.made).toBe(made + 1)
  world.store.remove(world.things, world.ids()[3]!)
  world.simulator.pass(300_000)
  await replica.follow((await open(world)).stream)
  world.simulator.pass(300_000)
  await replica.follow((await open(world)).stream)

  expect(world.org.jobs.made).toBe(made + 1)
  expect(world.org.jobs.jobs.size).toBe(0)
  expect(replica.rows.size).toBe(29)
  expect(replica.sorted().filter((row) => row.Name === 'changed').length).toBe(24)
})

test('the job of an increment is not taken up for other columns', async () => {
  await using world = await orgWith(30, { bulk_threshold_rows: 5, lookback_seconds: 0 })
  const columns = ['Id', 'Name', 'SystemModstamp']
  const { stream } = await open(world, { selection: { columns } })
  const replica = new Replica(stream)
  await replica.load()
  world.simulator.pass(60_000)
  for (const id of world.ids()) world.store.update(world.things, id, { Name: 'changed' })
  world.simulator.pass(60_000)
  await replica.follow(stream, 3)
  const { made } = world.org.jobs

  const more = (await open(world)).stream
  await replica.follow(more)

  expect(world.org.jobs.made).toBe(made + 1)
  expect(replica.rows.size).toBe(30)
})

test('jobs that a killed run left are deleted a day later, and nobody else’s', async () => {
  await using world = await orgWith(30, { bulk_threshold_rows: 0 })
  const { stream } = await open(world)
  const cutoff = await stream.head()
  const [piece] = await stream.split(cutoff)
  for await (const message of stream.backfill(piece!, cutoff)) if (message.op === 'block') break
  const { jobs } = world.org.jobs
  const [left] = [...jobs.values()]
  left!.createdAt = Date.now() - 2 * DAY_MS
  jobs.set('other', { ...left!, id: 'other', createdById: '0055g000000SOMEAA0' })
  jobs.set('marked', { ...left!, id: 'marked', lineEnding: 'LF' })
  jobs.set('young', { ...left!, id: 'young', createdAt: Date.now() })

  await stream.split(cutoff)

  expect([...jobs.keys()]).toEqual(['other', 'marked', 'young'])
})

test('a bulk job that fails is tried again by the engine, and an object that has no bulk is read by REST', async () => {
  await using world = await orgWith(10, { bulk_threshold_rows: 0 })
  const { stream } = await open(world)
  const cutoff = await stream.head()
  world.org.jobs.failWith = 'InternalServerError : retried more than 15 times'
  await expect(all(stream.backfill({ bulk: true }, cutoff))).rejects.toMatchObject({ code: 'source.unavailable' })

  const statuses = world.store.define('CaseStatus', '01J', [])
  world.store.insert(statuses, {})
  const plain = await open(world, { table: 'objects.CaseStatus', mode: 'snapshot' })
  const replica = new Replica(plain.stream)
  await replica.load()

  expect(replica.rows.size).toBe(1)
})

test('columns in any order and any selection, also without a bulk file’s natural order', async () => {
  await using world = await orgWith(25, { bulk_threshold_rows: 0, bulk_chunk_rows: 10 })
  world.org.jobs.pageRows = 3
  const { stream } = await open(world, { selection: { columns: ['Notes__c', 'Id', 'Amount__c'] } })
  const replica = new Replica(stream)

  await replica.load()

  expect(replica.sorted()).toHaveLength(25)
  expect(Object.keys(replica.sorted()[0]!)).toEqual(['Notes__c', 'Id', 'Amount__c'])
})

test('a filter is part of the query and can be nothing else', async () => {
  await using world = await orgWith(30)
  const named = async (text: string) => {
    const filter = { op: '=', column: 'name', value: { text, kind: 'string' } } as const
    const { stream } = await open(world, { selection: { filter } })
    const replica = new Replica(stream)
    await replica.load()
    return replica.rows.size
  }
  world.store.update(world.things, world.ids()[0]!, { Name: "it's \\ a 'name'\n" })
  world.simulator.pass(60_000)

  expect(await named("it's \\ a 'name'\n")).toBe(1)
  expect(await named("x' OR Name != '")).toBe(0)
  expect(await named("x\\' OR Name != \\'")).toBe(0)
  const bad = { op: '>', column: 'Amount__c', value: { text: '1 OR Id != null', kind: 'number' } } as const
  await expect(open(world, { selection: { filter: bad } })).rejects.toMatchObject({ code: 'config.invalid' })
  const long = { op: '=', column: 'Notes__c', value: { text: 'x', kind: 'string' } } as const
  await expect(open(world, { selection: { filter: long } })).rejects.toThrow(/cannot filter by Notes__c/)
})

test('an API version that the org no longer has is named with the newest, an old one is advised against', async () => {
  await using world = await orgWith(1)
  const version = async (api_version: string) => {
    await using source = await connect(asConnector, { ...world.settings, api_version }, hurriedClock)
    const results = await source.connector.check(source.context)
    return results.find(({ requirement }) => requirement === 'the API version is supported')
  }

  expect(await version('50.0')).toMatchObject({
    met: false,
    detail: 'the org has 60.0 to 63.0, not 50.0: set api_version: 63.0',
  })
  expect(await version('62.0')).toMatchObject({ met: true })
  world.org.rules.versions.push('72.0')
  expect(await version('62.0')).toMatchObject({
    met: false,
    advice: true,
    detail: expect.stringMatching(/10 releases old/),
  })
})
