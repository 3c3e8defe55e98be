import { gzipSync, zstdCompressSync } from 'node:zlib'
import { afterEach, expect, test } from '@jest/globals'
import type { PushServerOptions } from '../../local/push-server.ts'
import { readSnapshot } from '../../shared/delta/snapshot.ts'
import { CLICKS, rowsOf } from '../support/push.ts'
import { startTestPush } from '../support/push-door.ts'

const cleanups: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

const startServer = (options: Partial<PushServerOptions> = {}) => startTestPush(cleanups, options)

test('the HTTP door takes an array or NDJSON, and a repeated Idempotency-Key stores nothing twice', async () => {
  const server = await startServer()
  const post = (body: string, headers: Record<string, string> = {}) =>
    fetch(`${server.url}/zerobus/v1/tables/${CLICKS}/insert`, {
      method: 'POST',
      body,
      headers: { authorization: 'Bearer secret', ...headers },
    })

  expect(await (await post('[{"id":"a"}, {"id":"b","n":1}]')).json()).toEqual({})
  expect((await post('{"id":"c"}\n{"id":"d"}\n', { 'idempotency-key': 'k' })).status).toBe(200)
  expect((await post('{"id":"c"}\n{"id":"d"}\n', { 'idempotency-key': 'k' })).status).toBe(200)
  expect((await post('{"id":"other"}', { 'idempotency-key': 'k' })).status).toBe(400)
  expect(await (await post('[{"id":"e"},{"id":5}]')).json()).toMatchObject({ rejectedRanges: [[1, 2]] })
  expect((await post('[{"id":"e"}', {})).status).toBe(400)
  expect((await post('[]', { authorization: 'Bearer wrong' })).status).toBe(401)
  await server.close()

  expect((await rowsOf(server.lake)).map((row) => row.id).sort()).toEqual(['a', 'b', 'c', 'd', 'e'])
})

test.each<[string, Record<string, string>, string | Uint8Array, number, string]>([
  ['gzip without its header', {}, gzipSync('{"id":"a"}'), 400, 'content-encoding: gzip'],
  ['zstd without its header', {}, zstdCompressSync('{"id":"a"}'), 400, 'content-encoding: zstd'],
  ['no gzip with its header', { 'content-encoding': 'gzip' }, '{"id":"a"}', 400, 'damaged or cut gzip'],
  ['an encoding nobody knows', { 'content-encoding': 'br' }, 'x', 400, 'use gzip, zstd or none'],
  ['UTF-16', {}, Buffer.from('\ufeff{"id":"a"}', 'utf16le'), 400, 'send UTF-8'],
  ['a comma too many', {}, '[{"id":"a"},]', 400, 'neither a JSON array'],
  ['an empty key', { 'idempotency-key': '' }, '{"id":"a"}', 400, 'has 0 characters'],
  ['a key that is too long', { 'idempotency-key': 'x'.repeat(201) }, '{"id":"a"}', 400, 'has 201 characters'],
  ['no token', { authorization: '' }, '{"id":"a"}', 401, 'no bearer token'],
])('the HTTP door refuses %s, says what to change and stores nothing', async (_what, headers, body, status, words) => {
  const server = await startServer()
  const response = await fetch(`${server.url}/zerobus/v1/tables/${CLICKS}/insert`, {
    method: 'POST',
    body: typeof body === 'string' ? body : new Uint8Array(body),
    headers: { authorization: 'Bearer secret', ...headers },
  })
  const { error } = (await response.json()) as { error: { message: string; retryable: boolean } }
  await server.close()

  expect(response.status).toBe(status)
  expect(response.headers.get('www-authenticate')).toBe(status === 401 ? 'Bearer' : null)
  expect(error.message).toContain(words)
  expect(error.retryable).toBe(false)
  expect((await readSnapshot(server.lake, 'main/events/clicks'))?.files.size ?? 0).toBe(0)
})

test('requests with one key at the same time are stored once, and another body under it is refused', async () => {
  const server = await startServer()
  const post = (body: string) =>
    fetch(`${server.url}/zerobus/v1/tables/${CLICKS}/insert`, {
      method: 'POST',
      body,
      headers: { authorization: 'Bearer secret', 'idempotency-key': 'k', 'content-encoding': 'Identity' },
    })

  const same = await Promise.all(Array.from({ length: 20 }, () => post('[{"id":"a"},{"id":5}]')))
  const answers = await Promise.all(same.map((response) => response.json()))
  const other = await post('[{"id":"b"}]')
  await server.close()

  expect(same.map(({ status }) => status)).toEqual(Array(20).fill(200))
  for (const answer of answers) expect(answer).toEqual(answers[0])
  expect(answers[0]).toMatchObject({ rejectedRanges: [[1, 2]] })
  expect(other.status).toBe(400)
  expect((await rowsOf(server.lake)).map((row) => row.id)).toEqual(['a'])
})

test('a repeated Idempotency-Key gets the answer of the first request, also once its records are in the table', async () => {
  const committed = Promise.withResolvers<void>()
  const server = await startServer({ events: { committed: () => committed.resolve() } })
  const post = async () => {
    const response = await fetch(`${server.url}/zerobus/v1/tables/${CLICKS}/insert`, {
      method: 'POST',
      body: '[{"id":"a"},{"id":5},{"id":"b"}]',
      headers: { authorization: 'Bearer secret', 'idempotency-key': 'k' },
    })
    return response.json()
  }

  const first = await post()
  const second = await post()
  await committed.promise
  const third = await post()

  expect(first).toMatchObject({ rejectedRanges: [[1, 2]], rejected: [{ offset: 1, column: 'id', code: 'wrong_type' }] })
  expect([second, third]).toEqual([first, first])
})
