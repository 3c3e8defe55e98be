import { mkdtempSync, readdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'
import * as z from 'zod'
import { HttpClient, type HttpSettings } from '../../shared/connector/http/client.ts'
import { fetchFor } from '../../shared/connector/http/options.ts'
import { Tokens } from '../../shared/connector/http/tokens.ts'
import { systemRandom } from '../../shared/core/random.ts'
import { hurriedClock } from '../support/simulator/faults.ts'
import { type SimAnswer, type SimRequest, Simulator } from '../support/simulator/server.ts'

function clientOf(simulator: Simulator, more: Partial<HttpSettings> = {}): HttpClient {
  return new HttpClient({
    clock: hurriedClock,
    random: systemRandom,
    signal: new AbortController().signal,
    address: (path) => new URL(path, simulator.url).href,
    ...more,
  })
}

const request = { doing: 'read things', path: '/things' }
const Things = z.object({ things: z.array(z.number()) })
const things = () => ({ json: { things: Array.from({ length: 1_000 }, (_, n) => n) } })

test.each([
  ['a reset connection', 'reset'],
  ['a body that breaks off', 'cut'],
  ['a body that lacks its end', 'half'],
  ['a page of somebody else', 'garbage'],
  ['a server error', { status: 500 }],
  ['throttling', { status: 429, headers: { 'retry-after': '1' } }],
] as const)('%s is asked for again, and then whole', async (_, fault) => {
  await using simulator = await Simulator.start(things)
  simulator.fault = (_, number) => (number < 2 ? fault : undefined)

  const found = await clientOf(simulator).json(request, Things)

  expect(found.things).toHaveLength(1_000)
  expect(simulator.log).toHaveLength(3)
})

test('a fault that lasts is told with its remedy after the tries there are', async () => {
  await using simulator = await Simulator.start(() => ({ status: 503 }))

  await expect(clientOf(simulator, { attempts: 3 }).json(request, Things)).rejects.toMatchObject({
    code: 'source.unavailable',
    message: 'read things: the source answered 503',
  })
  expect(simulator.log).toHaveLength(3)
})

test('what will not pass is not asked for again', async () => {
  await using simulator = await Simulator.start(() => ({ status: 403, text: 'no right' }))

  await expect(clientOf(simulator).json(request, Things)).rejects.toMatchObject({ code: 'source.permission_denied' })
  expect(simulator.log).toHaveLength(1)
})

test('a source that does not answer in time is unreachable, and one that stops in the middle too', async () => {
  await using silent = await Simulator.start(() => new Promise<SimAnswer>(() => {}))

  await expect(clientOf(silent, { timeoutMs: 50, attempts: 2 }).json(request, Things)).rejects.toMatchObject({
    code: 'source.unreachable',
    message: expect.stringMatching(/no answer within 50 ms/),
  })
})

test('a run sends as many requests as it may, and no more', async () => {
  await using simulator = await Simulator.start(things)
  const client = clientOf(simulator, { requests: 2 })
  await client.json(request, Things)
  await client.json(request, Things)

  await expect(client.json(request, Things)).rejects.toMatchObject({ code: 'source.quota_spent', remedy: 'fix' })
  expect(simulator.log).toHaveLength(2)
})

test('an answer that is too long is refused before it fills the memory', async () => {
  await using simulator = await Simulator.start(things)

  await expect(clientOf(simulator, { maxBytes: 100 }).bytes(request)).rejects.toMatchObject({
    code: 'source.protocol_violation',
  })
})

test('an expired token is replaced once, and the request sent again', async () => {
  let good = 'none'
  let given = 0
  await using simulator = await Simulator.start(({ headers }: SimRequest) =>
    headers.authorization === `Bearer ${good}` ? things() : { status: 401 },
  )
  const tokens = new Tokens(async () => ({ value: `t${++given}` }))
  const client = clientOf(simulator, { tokens, headers: (token) => ({ authorization: `Bearer ${token?.value}` }) })

  good = 't2'
  await Promise.all(Array.from({ length: 5 }, () => client.json(request, Things)))
  expect(given).toBe(2)
  good = 'nobody'
  await expect(client.json(request, Things)).rejects.toMatchObject({ code: 'source.auth_rejected' })
  expect(given).toBe(3)
})

test('an abort ends a request with its reason', async () => {
  await using simulator = await Simulator.start(() => new Promise<SimAnswer>(() => {}))
  const aborter = new AbortController()
  const reading = clientOf(simulator, { signal: aborter.signal }).json(request, Things)

  aborter.abort(new Error('deadline'))

  await expect(reading).rejects.toThrow('deadline')
})

test('a recording has no secret in it, and answers in place of the source', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'recording-'))
  const secret = 'hunter2-secret-value'
  const page = { things: [1, 2, 3], access_token: 'token-from-the-source', note: `echo ${secret}` }
  const shape = Things.extend({ note: z.string() })
  const asked = {
    ...request,
    path: `/things?api_key=abc123&secret_of=${secret}`,
    method: 'POST',
    headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/x-www-form-urlencoded' },
    body: `grant_type=password&password=${secret}&client_secret=other`,
  }
  {
    await using simulator = await Simulator.start(() => ({ json: page, headers: { 'set-cookie': `sid=${secret}` } }))
    const record = fetchFor({ record_requests: folder, request_log: join(folder, 'log') }, [secret])
    expect((await clientOf(simulator, { fetch: record }).json(asked, shape)).note).toBe(page.note)
  }

  const kept = readdirSync(folder).map((name) => readFileSync(join(folder, name), 'utf8'))
  const replayed = await clientOf({ url: 'http://127.0.0.1' } as Simulator, {
    fetch: fetchFor({ replay_requests: folder }, [secret]),
    address: () => JSON.parse(readFileSync(join(folder, '000001.json'), 'utf8')).url,
  }).json(asked, shape)

  expect(kept.join('\n')).not.toMatch(/hunter2|token-from-the-source|abc123|client_secret=other/)
  expect(replayed).toMatchObject({ things: [1, 2, 3], note: 'echo [redacted]' })
})
