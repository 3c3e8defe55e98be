import { type ChildProcess, spawn } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals'
import { createDatabase, type TestDatabase } from '../support/postgres.ts'

const main = join(import.meta.dirname, '../../local/main.ts')

let database: TestDatabase
let folder: string

beforeAll(async () => {
  database = await createDatabase()
  await database.query(`
    create table orders (id bigint primary key, total numeric(10,2), note text, updated_at timestamptz not null default now());
    insert into orders select i, i / 100.0, 'Nr. ' || i, now() - interval '1 hour' from generate_series(1, 1000) i;
    create table items (id int primary key, updated_at timestamptz not null default now());
    insert into items values (1), (2);
  `)
})

afterAll(async () => {
  await database[Symbol.asyncDispose]()
})

afterEach(() => {
  if (folder) rmSync(folder, { recursive: true, force: true })
})

interface Ran {
  code: number | null
  out: string
  errors: string
}

/** A folder with a lakeflow.yml of this pipeline and connection. */
function project({
  connection = {},
  definition = {},
  configuration = {},
  lakehouse = './lake',
}: ProjectOptions = {}): void {
  folder = mkdtempSync(join(tmpdir(), 'lakeflow-cli-'))
  const spec = {
    lakehouse,
    connections: { db: { type: 'postgres', ...database.config, password: '${env:DB_PASSWORD}', ...connection } },
    pipelines: {
      shop: {
        schema: 'shop',
        ingestion_definition: {
          connection_name: 'db',
          connector_type: 'QUERY_BASED',
          objects: [{ table: { source_schema: 'public', source_table: 'orders', table_configuration: configuration } }],
          ...definition,
        },
      },
    },
  }
  // JSON is YAML.
  writeFileSync(join(folder, 'lakeflow.yml'), JSON.stringify(spec, null, 2))
}

interface ProjectOptions {
  connection?: object
  definition?: object
  configuration?: object
  lakehouse?: string
}

function start(
  words: string[],
  env: NodeJS.ProcessEnv = {},
  user?: { uid: number; gid: number },
): { child: ChildProcess; ended: Promise<Ran> } {
  const child = spawn(process.execPath, [main, ...words], {
    cwd: folder,
    env: { ...process.env, NODE_OPTIONS: '', DB_PASSWORD: database.config.password, ...env },
    ...user,
  })
  const ran: Ran = { code: null, out: '', errors: '' }
  child.stdout!.on('data', (chunk) => (ran.out += chunk))
  child.stderr!.on('data', (chunk) => (ran.errors += chunk))
  return {
    child,
    ended: new Promise((done) => child.once('close', (code) => done({ ...ran, code }))),
  }
}

const lakeflow = (words: string[], env?: NodeJS.ProcessEnv) => start(words, env).ended
const rows = async (sql: string) =>
  (await lakeflow(['query', sql, '--json'])).out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))

test('a pipeline is copied, then followed, and what it did can be asked for', async () => {
  project()

  const first = await lakeflow(['run', 'shop'])
  await database.query(
    `update orders set note = 'changed', updated_at = now() where id = 7; insert into orders values (1001, 5, null)`,
  )
  const second = await lakeflow(['run', 'shop'])

  expect([first.code, second.code]).toEqual([0, 0])
  const summary = JSON.parse(second.out.trim().split('\n').at(-1)!)
  expect(summary).toMatchObject({ type: 'run', state: 'COMPLETED', streams: [{ stream: 'main.shop.orders', rows: 2 }] })
  expect(
    await rows(`select count(*) n, sum(total)::varchar s, max(note) filter (id = 7) note from main.shop.orders`),
  ).toEqual([{ n: 1001, s: '5010.00', note: 'changed' }])
  expect(await rows('select count(*) n from main.shop.orders version as of 1')).toEqual([{ n: 1000 }])
  expect((await lakeflow(['status'])).out).toContain('main.shop.orders  completed, 2 rows')
  expect((await lakeflow(['runs', '--json'])).out.trim().split('\n')).toHaveLength(2)
  expect((await lakeflow(['events', '--json'])).out).toContain('"event_type":"update_progress"')
  expect((await lakeflow(['check'])).code).toBe(0)
  expect((await lakeflow(['discover', 'db', '--table', 'orders'])).out).toContain('total  decimal(10,2)')
})

test('rows that were set aside are replayed once they fit, and only once', async () => {
  await database.query(`create table visits (id int primary key, tags text[], updated_at timestamptz not null default now());
    insert into visits values (1, '{a}'), (2, '{{a,b}}'), (3, '{{a},{b}}')`)
  project({ definition: { objects: [{ table: { source_schema: 'public', source_table: 'visits' } }] } })
  // More dimensions than the column was declared with.
  const run = await lakeflow(['run', 'shop'])
  const before = await lakeflow(['replay', 'shop', '--json'])

  // The cursor column does not move: no run reads the row again.
  await database.query(`update visits set tags = '{b}' where id = 2; delete from visits where id = 3`)
  const mended = await lakeflow(['replay', 'shop.visits', '--json'])
  const again = await lakeflow(['replay', 'shop'])
  const wrong = await lakeflow(['replay', 'shpo'])

  expect(JSON.parse(run.out.trim().split('\n').at(-1)!).streams).toMatchObject([{ rows: 1, rejected: 2 }])
  expect([before.code, JSON.parse(before.out)]).toMatchObject([1, { applied: 0, left: [{}, {}] }])
  expect([mended.code, JSON.parse(mended.out)]).toMatchObject([0, { applied: 2, left: [] }])
  expect(again).toMatchObject({ code: 0, out: expect.stringContaining('0 applied, 0 left') })
  expect(await rows('select id, tags[1] as tag from main.shop.visits order by id')).toEqual([
    { id: 1, tag: 'a' },
    { id: 2, tag: 'b' },
  ])
  expect(await rows('select count(*) n from main.shop.visits__quarantine')).toEqual([{ n: 0 }])
  expect(wrong).toMatchObject({ code: 2, errors: expect.stringContaining('did you mean shop?') })
})

test('tables that come and go are followed, told and shown, and stop no other', async () => {
  await database.query(`create schema moving; create table moving.one (id int primary key); insert into moving.one values (1);
    create table moving.two (id int primary key); insert into moving.two values (1)`)
  project({ definition: { objects: [{ schema: { source_schema: 'moving' } }] } })
  await lakeflow(['run', 'shop'])
  await database.query(
    'drop table moving.two; create table moving.three (id int primary key); insert into moving.one values (2)',
  )

  const run = await lakeflow(['run', 'shop'])
  const events = await lakeflow(['events'])
  const status = await lakeflow(['status'])
  const history = await lakeflow(['describe', 'history', 'shop.two', '--json'])
  const wrong = await lakeflow(['run', 'shop', '--refresh=two'])

  expect(run.code).toBe(0)
  expect(JSON.parse(run.out.trim().split('\n').at(-1)!).streams).toMatchObject([
    { stream: 'main.shop.one', rows: 2 },
    { stream: 'main.shop.three', rows: 0 },
  ])
  expect(events.out).toMatch(/schema_change +main.shop.three: table moving.three is new, is copied/)
  expect(events.out).toMatch(/schema_change +main.shop.two: table moving.two is gone, stays as it is/)
  expect(status.out).toMatch(/main.shop.two {2}is not in the source since .*; the table is kept/)
  expect(history.out).toContain('lakeflow.sourceGoneSince')
  expect(await rows('select * from main.shop.two')).toEqual([{ id: 1 }])
  expect(wrong.code).toBe(2)
})

test('a pipeline is compared with its source, and what differs ends with 1', async () => {
  project()
  await lakeflow(['run', 'shop'])

  const equal = await lakeflow(['verify', 'shop'])
  const sampled = await lakeflow(['verify', 'shop', '--sample=3'])
  await database.query(`update orders set note = 'not copied yet' where id = 9`)
  const different = await lakeflow(['verify', 'shop', 'orders'])
  const json = await lakeflow(['verify', 'shop', '--json'])
  const unknown = await lakeflow(['verify', 'shop', 'order'])
  await database.query(`update orders set note = 'not copied either'`)
  const differentPart = await lakeflow(['verify', 'shop', '--sample=1'])
  await lakeflow(['run', 'shop', '--full-refresh'])

  expect(equal).toMatchObject({ code: 0, errors: '' })
  expect(equal.out).toMatch(
    /^equal +main\.shop\.orders {2}from public\.orders {2}[\d,]+ rows, version \d+\n1 equal, 0 different\n$/,
  )
  expect(different.code).toBe(1)
  expect(different.out).toContain('note: values differ')
  expect(different.out).toContain('rows only in the source: 0, only in the table: 0, with other values: 1')
  expect(different.out).toContain('such as id = 9')
  expect(JSON.parse(json.out)).toMatchObject({
    table: 'main.shop.orders',
    outcome: 'different',
    keys: { otherValues: 1 },
  })
  expect(unknown).toMatchObject({ code: 2 })
  expect(sampled.out).toMatch(/^equal .*\n1 equal, 0 different\n$/)
  expect(differentPart.out).toContain('note: values differ')
})

test('a full refresh copies again, and only the tables that are asked for are read', async () => {
  project({ definition: { objects: [{ schema: { source_schema: 'public' } }] } })

  await lakeflow(['run', 'shop'])
  const again = await lakeflow(['run', 'shop', '--full-refresh=orders', '--refresh=orders'])
  const wrong = await lakeflow(['run', 'shop', '--refresh=ordrs'])

  const summary = JSON.parse(again.out.trim().split('\n').at(-1)!)
  expect(summary.streams).toMatchObject([{ stream: 'main.shop.orders', mode: 'full' }])
  expect(summary.streams[0].rows).toBeGreaterThanOrEqual(1000)
  expect(wrong).toMatchObject({
    code: 2,
    errors: expect.stringContaining('the pipeline has no table ordrs; did you mean orders?'),
  })
})

test('validation says what would be read and leaves nothing behind', async () => {
  project()

  const { code, out } = await lakeflow(['run', 'shop', '--validate-only'])

  expect(code).toBe(0)
  expect(out).toMatch(/public\.orders +main\.shop\.orders +query +updated_at +id +4 +SCD_TYPE_1/)
  expect(existsSync(join(folder, 'lake/main'))).toBe(false)
})

test.each<[string, ProjectOptions, NodeJS.ProcessEnv, string, RegExp]>([
  ['a wrong password', {}, { DB_PASSWORD: 'not-the-right-one' }, 'source.auth_rejected', /password/],
  ['a host that is down', { connection: { port: 1 } }, {}, 'source.unreachable', /127\.0\.0\.1:1/],
  ['a missing database', { connection: { database: 'nope' } }, {}, 'source.object_missing', /nope/],
  [
    'a missing table',
    { definition: { objects: [{ table: { source_schema: 'public', source_table: 'order' } }] } },
    {},
    'source.object_missing',
    /public\.order .*did you mean orders\?/,
  ],
  [
    'a missing schema',
    { definition: { objects: [{ schema: { source_schema: 'shop' } }] } },
    {},
    'source.object_missing',
    /schema shop/,
  ],
  [
    'a dropped column in the filter',
    { configuration: { row_filter: "state = 'new'" } },
    {},
    'source.object_missing',
    /column state of public\.orders, named in row_filter/,
  ],
  [
    'a cursor that is not there',
    { configuration: { query_based_connector_config: { cursor_columns: ['changed_at'] } } },
    {},
    'source.object_missing',
    /changed_at .*cursor_columns/,
  ],
])('%s stops the run with its code and leaves nothing behind', async (_name, options, env, code, message) => {
  project(options)

  const ran = await lakeflow(['run', 'shop'], env)

  expect(ran.code).toBe(1)
  expect(ran.errors).toContain(`error ${code}: `)
  expect(ran.errors).toMatch(message)
  expect(ran.errors + ran.out).not.toContain('not-the-right-one')
  expect(existsSync(join(folder, 'lake/main'))).toBe(false)
})

test('a missing right is named with its table, and the other tables go on', async () => {
  const user = `reader_${database.name}`
  await database.query(`create role ${user} login password 'reader-password'; grant select on items to ${user}`)
  project({
    connection: { user },
    definition: {
      objects: [
        { schema: { source_schema: 'public' } },
        { table: { source_schema: 'public', source_table: 'orders' } },
      ],
    },
  })

  const ran = await lakeflow(['run', 'shop'], { DB_PASSWORD: 'reader-password' })
  await database.query(`drop owned by ${user}; drop role ${user}`)

  expect(ran.code).toBe(1)
  expect(ran.out + ran.errors).toMatch(/source\.(permission_denied|object_missing)/)
  expect(ran.out + ran.errors).toMatch(/orders/)
})

test('a typo in the file is refused with its line before anything is read', async () => {
  project()
  const file = join(folder, 'lakeflow.yml')
  writeFileSync(file, readFileSync(file, 'utf8').replace('"source_table"', '"sorce_table"'))

  const { code, errors } = await lakeflow(['run', 'shop'])

  expect(code).toBe(2)
  expect(errors).toMatch(/lakeflow\.yml:\d+: unknown key sorce_table .*; did you mean source_table\?/)
})

test('a key that is not unique is refused, and no row is in the table', async () => {
  await database.query(
    'create table doubled (id int, updated_at timestamptz default now()); insert into doubled values (1), (1)',
  )
  const objects = [
    { table: { source_schema: 'public', source_table: 'doubled', table_configuration: { primary_keys: ['id'] } } },
  ]
  project({ definition: { objects } })

  const { code, out } = await lakeflow(['run', 'shop'])
  await database.query('drop table doubled')

  expect(code).toBe(1)
  expect(out).toContain('"code":"source.key_not_unique"')
  expect(out).toContain('1 of its values name more than one row')
  expect((await lakeflow(['query', 'select count(*) n from main.shop.doubled', '--json'])).out).toBe('{"n":0}\n')
})

test('a lakehouse that cannot be written is refused with its path', async () => {
  project()
  const locked = join(folder, 'locked')
  writeFileSync(locked, 'a file where the folder would be')
  const file = join(folder, 'lakeflow.yml')
  writeFileSync(file, readFileSync(file, 'utf8').replace('./lake', './locked/lake'))

  const { code, errors } = await lakeflow(['run', 'shop'])

  expect(code).toBe(1)
  expect(errors).toMatch(/error storage\.(permission_denied|path_invalid): .*locked/)
})

test('a folder without the right to write is refused for an ordinary user', async () => {
  project()
  chmodSync(folder, 0o755)
  mkdirSync(join(folder, 'lake'))
  chmodSync(join(folder, 'lake'), 0o555)
  // Root may write anywhere.
  const user = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : undefined

  const { code, errors } = await start(['run', 'shop'], { HOME: folder }, user).ended

  expect(code).toBe(1)
  expect(errors).toMatch(/error storage\.permission_denied: .*lake/)
})

test('of two runs of one pipeline at the same time each row arrives once', async () => {
  project()

  const ended = await Promise.all([lakeflow(['run', 'shop']), lakeflow(['run', 'shop'])])

  expect(ended.some(({ code }) => code === 0)).toBe(true)
  for (const { code, out } of ended) if (code !== 0) expect(out).toContain('state.lease_held')
  expect(await rows('select count(*) n, count(distinct id) d from main.shop.orders')).toEqual([{ n: 1001, d: 1001 }])
})

test('a table written by a newer protocol is refused by its feature, and is left as it is', async () => {
  project()
  await lakeflow(['run', 'shop'])
  const log = join(folder, 'lake/main/shop/orders/_delta_log')
  const next = `${String(readdirSync(log).filter((name) => name.endsWith('.json')).length).padStart(20, '0')}.json`
  const protocol = {
    minReaderVersion: 3,
    minWriterVersion: 7,
    readerFeatures: ['timeMachine'],
    writerFeatures: ['timeMachine'],
  }
  writeFileSync(join(log, next), `${JSON.stringify({ protocol })}\n`)
  const before = readdirSync(log).length

  const ran = await lakeflow(['run', 'shop'])
  const queried = await lakeflow(['query', 'select * from main.shop.orders'])

  expect(ran.code).toBe(1)
  expect(ran.out).toMatch(/table\.unsupported_feature.*timeMachine/)
  expect(queried.errors).toMatch(/error table\.unsupported_feature: .*timeMachine/)
  expect(readdirSync(log)).toHaveLength(before)
})

test('start runs on its schedule, and Ctrl-C ends it in order', async () => {
  project()
  const file = join(folder, 'lakeflow.yml')
  const spec = JSON.parse(readFileSync(file, 'utf8'))
  spec.pipelines.shop.trigger = { periodic: { interval: 1, unit: 'SECONDS' } }
  writeFileSync(file, JSON.stringify(spec))

  const { child, ended } = start(['start', '--json'])
  let seen = ''
  await new Promise<void>((done) =>
    child.stdout!.on('data', (chunk) => {
      seen += chunk
      if (seen.split('"type":"run"').length > 2) done()
    }),
  )
  child.kill('SIGINT')
  const { code } = await ended

  expect(code).toBe(0)
  expect(await rows('select count(*) n from main.shop.orders')).toEqual([{ n: 1001 }])
})
