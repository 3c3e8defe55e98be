import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { runCommandLine } from '../../../local/command-line.ts'

let folder: string

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'lakeflow-cli-'))
})

afterAll(() => {
  rmSync(folder, { recursive: true })
})

/** Runs one command line in the folder, without a terminal. */
async function lakeflow(words: string[], env: NodeJS.ProcessEnv = {}) {
  const written = { out: '', errors: '' }
  const stream = (name: 'out' | 'errors') => ({ write: (text: string) => (written[name] += text) })
  const code = await runCommandLine(words, { out: stream('out'), errors: stream('errors'), env, folder })
  return { code, ...written }
}

const write = (name: string, text: string) => writeFileSync(join(folder, name), text)

const spec = (more = '') => `
lakehouse: ./lake
connections:
  db:
    type: postgres
    host: 127.0.0.1
    port: 1
    database: d
    user: someone
    password: \${env:DB_PASSWORD}
pipelines:
  shop:
    ingestion_definition:
      connection_name: db
      objects: [{ table: { source_schema: public, source_table: orders } }]
${more}`

test.each([
  [['chek'], 'error usage.invalid: there is no command chek; did you mean check?'],
  [['nothing-like-it'], 'error usage.invalid: there is no command nothing-like-it; see lakeflow --help'],
  [
    ['check', '--fiel', 'x'],
    'error usage.invalid: unknown option --fiel; did you mean --file?; see lakeflow check --help',
  ],
  [['run'], 'error usage.invalid: pipeline is missing; see lakeflow run --help'],
  [['run', 'a', 'b'], 'error usage.invalid: b is one word too many; see lakeflow run --help'],
  [
    ['query', 'select 1', '--format'],
    'error usage.invalid: --format needs a value: --format <table|csv|json>; see lakeflow query --help',
  ],
  [['check', '--json=yes'], 'error usage.invalid: --json takes no value; see lakeflow check --help'],
])('%j is refused with what to do', async (words, message) => {
  const { code, out, errors } = await lakeflow(words)

  expect({ code, out }).toEqual({ code: 2, out: '' })
  expect(errors.split('\n')[0]).toBe(message)
  expect(errors).toContain('More: docs/runbook.md#usage-invalid')
})

test('without a configuration file the message says how to get one', async () => {
  const { code, errors } = await lakeflow(['status', '-f', 'none.yml'])

  expect(code).toBe(2)
  expect(errors).toMatch(/there is no .*none\.yml; lakeflow init writes one/)
})

test('what init writes is accepted, and is never overwritten', async () => {
  const first = await lakeflow(['init'])
  const status = await lakeflow(['status', '-f', 'lakeflow.yml'])
  const again = await lakeflow(['init'])

  expect(first.code).toBe(0)
  expect(readFileSync(join(folder, 'lakeflow.yml'), 'utf8')).toMatch(
    /^# yaml-language-server: \$schema=.*lakeflow\.schema\.json\n/,
  )
  expect(status).toMatchObject({ code: 0, errors: '' })
  expect(status.out).toContain('shop (from shop_db; every 5 minutes')
  expect(again.code).toBe(2)
})

test('with --json an error is one JSON object on standard output', async () => {
  write('bad.yml', spec().replace('lakehouse:', 'lakehous:'))

  const { code, out, errors } = await lakeflow(['status', '-f', 'bad.yml', '--json'])

  expect(code).toBe(2)
  expect(errors).toBe('')
  expect(JSON.parse(out)).toMatchObject({
    type: 'error',
    code: 'config.invalid',
    remedy: 'fix',
    message: expect.stringContaining('unknown key lakehous; did you mean lakehouse?'),
    runbook: 'docs/runbook.md#config-invalid',
  })
})

test.each([
  ['type: postgres', 'type: postgress', 'there is no connector of type postgress; did you mean postgres?'],
  ['user: someone', 'usr: someone', 'unknown key usr in connections.db; did you mean user?'],
  ['port: 1', 'port: 99999', 'connections.db.port: wanted at most 65535, got 99999'],
  ['${env:DB_PASSWORD}', '${var.password}', '${var.password} is a variable of a Databricks bundle; write its value'],
  ['${env:DB_PASSWORD}', '${environment:X}', '${environment:X} is not understood'],
])('a connection with %s written as %s is refused with its line', async (right, wrong, message) => {
  write('connection.yml', spec().replace(right, wrong))

  const { code, errors } = await lakeflow(['status', '-f', 'connection.yml'])

  expect(code).toBe(2)
  expect(errors).toMatch(/connection\.yml:\d+: /)
  expect(errors).toContain(message)
})

test('a secret that is missing is named with its line, only when it is needed', async () => {
  write('secret.yml', spec())

  expect(await lakeflow(['status', '-f', 'secret.yml'])).toMatchObject({ code: 0 })
  const { code, errors } = await lakeflow(['run', 'shop', '-f', 'secret.yml'])

  expect(code).toBe(2)
  expect(errors).toMatch(/config\.secret_missing: .*secret\.yml:10: the environment variable DB_PASSWORD is not set/)
})

test('a source that is down fails the run, says so, and never shows the secret', async () => {
  write('down.yml', spec())

  const ran = await lakeflow(['check', 'db', '-f', 'down.yml', '--debug'], { DB_PASSWORD: 'hunter2-very-secret' })

  expect(ran.code).toBe(1)
  expect(ran.out).toContain('source.unreachable')
  expect(ran.out + ran.errors).not.toContain('hunter2')
})

test.each([
  [['run', 'shp'], 'there is no pipeline shp; did you mean shop?'],
  [['discover', 'bd'], 'there is no connection bd; did you mean db?'],
  [['runs', 'shp'], 'there is no pipeline shp; did you mean shop?'],
  [['events'], 'nothing has run yet'],
  [['start'], 'no section push, and no pipeline with a schedule'],
  [['query', 'select 1', '--format', 'xml'], '--format is table, csv, json, got xml'],
])('%j names what there is', async (words, message) => {
  write('names.yml', spec())

  const { code, errors } = await lakeflow([...words, '-f', 'names.yml'])

  expect(code).toBe(2)
  expect(errors).toContain(message)
})

test('a query prints a table, CSV or JSON, and makes no lakehouse', async () => {
  write('query.yml', spec().replace('./lake', './lake-query'))
  const sql = `select 1 as id, 'a "b", c' as name, null as nothing, '' as empty, 1.50::decimal(4,2) as price`
  const query = (...words: string[]) => lakeflow(['query', sql, '-f', 'query.yml', ...words])

  expect((await query()).out.split('\n').slice(2, 4)).toEqual([' 1  a "b", c                  1.50', '1 row'])
  expect((await query('--format', 'csv')).out).toBe('id,name,nothing,empty,price\n1,"a ""b"", c",,"",1.50\n')
  expect(JSON.parse((await query('--json')).out)).toEqual({
    id: 1,
    name: 'a "b", c',
    nothing: null,
    empty: '',
    price: '1.50',
  })
  expect(existsSync(join(folder, 'lake-query/main'))).toBe(false)
})
