import { gzipSync, zstdCompressSync } from 'node:zlib'
import { afterEach, expect, test } from '@jest/globals'
import { WebSocket } from 'ws'
import type { CommandContext } from '../../local/command.ts'
import { pushDeadLetters } from '../../local/push/send-dead-letters.ts'
import type { PushServer, PushServerOptions } from '../../local/push-server.ts'
import { RejectedRecordsError, ZerobusSdk } from '../../sdk/index.ts'
import { readSnapshot } from '../../shared/delta/snapshot.ts'
import { deadLetters, readDeadLetter, writeDeadLetter } from '../../shared/push/dead-letters.ts'
import { encodeBinary, serverFrames } from '../../shared/push/frames.ts'
import { memoryState } from '../../shared/state/memory.ts'
import type { Storage } from '../../shared/storage/storage.ts'
import { everyCrashPoint } from '../support/crash.ts'
import { faultyStorage } from '../support/faulty-storage.ts'
import { CLICKS, rowsOf } from '../support/push.ts'
import { startTestPush } from '../support/push-door.ts'

const cleanups: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

const startServer = (options: Partial<PushServerOptions> = {}) => startTestPush(cleanups, options)

const sdkOf = (server: PushServer, token = 'secret') => new ZerobusSdk(server.url, { token })

test.each(['none', 'gzip', 'zstd'] as const)(
  'records sent with compression %s are in the table when waitForCommit resolves',
  async (compression) => {
    const server = await startServer()
    const stream = await sdkOf(server).createStream({ tableName: CLICKS }, { compression })

    const last = await stream.ingest(Array.from({ length: 500 }, (_, n) => ({ id: `x${n}`, n })))
    await stream.waitForCommit(last!)
    await stream.close()

    expect((await rowsOf(server.lake)).map((row) => row.id)).toEqual(Array.from({ length: 500 }, (_, n) => `x${n}`))
  },
)

test('a record that does not fit is told to whoever waits for it, and to close', async () => {
  const server = await startServer()
  const stream = await sdkOf(server).createStream({ tableName: CLICKS })

  const bad = await stream.ingestRecordOffset({ id: 1 })
  await stream.ingestRecordOffset({ id: 2 })

  await expect(stream.waitForOffset(bad)).rejects.toThrow('offset 0, id: wrong_type, got number, wanted string')
  await expect(stream.close()).rejects.toBeInstanceOf(RejectedRecordsError)
})

test('close never drops: records queued without a flush are durable when it resolves', async () => {
  const server = await startServer()
  for (let round = 0; round < 20; round++) {
    const stream = await sdkOf(server).createStream({ tableName: CLICKS }, { lingerMs: 10_000 })
    void stream.ingestRecordOffset({ id: `r${round}` })
    await stream.close()
  }
  await server.close()

  expect(await rowsOf(server.lake)).toHaveLength(20)
})

test('a wrong token, a foreign table and a missing table are refused, the last two in the same words', async () => {
  const server = await startServer()
  const refusal = (token: string, tableName: string) =>
    sdkOf(server, token)
      .createStream({ tableName })
      .then(
        () => undefined,
        (error) => ({
          code: error.code,
          message: error.message.replaceAll(tableName, 'T'),
          retryable: error.isRetryable,
        }),
      )

  expect(await refusal('wrong', CLICKS)).toMatchObject({ code: 'push.unauthenticated', retryable: false })
  const foreign = await refusal('other', CLICKS)
  expect(foreign).toMatchObject({ code: 'push.not_permitted', retryable: false })
  expect(await refusal('other', 'else.no.table')).toEqual(foreign)
})

test('a connection at its age limit is drained, and the stream goes on over a new one without loss', async () => {
  const server = await startServer({ settings: { maxConnectionAgeMs: 150 } })
  const tokens: string[] = []
  const sdk = new ZerobusSdk(server.url, {
    token: () => {
      tokens.push('asked')
      return 'secret'
    },
  })
  const stream = await sdk.createStream({ tableName: CLICKS }, { lingerMs: 1, recoveryBackoffMs: 10 })

  for (let n = 0; n < 60; n++) {
    await stream.ingestRecordOffset({ id: `d${n}` })
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  await stream.close()
  await server.close()

  expect(tokens.length).toBeGreaterThan(2)
  expect((await rowsOf(server.lake)).map((row) => row.id).sort()).toEqual(
    Array.from({ length: 60 }, (_, n) => `d${n}`).sort(),
  )
})

test('a session may create its table from its first records', async () => {
  const server = await startServer({ createTables: true })
  const stream = await sdkOf(server).createStream({ tableName: 'main.fresh.events' }, { createTable: true })

  const last = await stream.ingest([
    { id: 1, name: 'a' },
    { id: 2, tags: ['x'] },
  ])
  await stream.waitForCommit(last!)
  await stream.close()

  expect(await rowsOf(server.lake, 'main.fresh.events')).toMatchObject([
    { id: 1n, name: 'a' },
    { id: 2n, tags: ['x'] },
  ])
})

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

test('what was left out is told to a producer that comes back without having heard the ack', async () => {
  const state = memoryState()
  const committed = Promise.withResolvers<void>()
  const first = await startServer({ state, events: { committed: () => committed.resolve() } })
  const { session } = await exchange(first, [JSON.stringify({ type: 'open', v: 1, table: CLICKS })], 'opened')
  const resume = (durable: number) => JSON.stringify({ type: 'open', v: 1, table: CLICKS, session, durable })
  const bad = encodeBinary(
    { type: 'ingest', offset: 0, count: 2, encoding: 'none' },
    Buffer.from('{"id":"a"}\n{"id":7}\n'),
  )
  await exchange(first, [resume(0), bad], 'ack')
  await committed.promise

  const again = await exchange(first, [resume(0)], 'opened')
  await first.close()
  const second = await startServer({ state, storage: first.lake })
  const elsewhere = await exchange(second, [resume(0)], 'opened')
  const heard = await exchange(second, [resume(2)], 'opened')

  const leftOut = { durable: 2, rejectedRanges: [[1, 2]], rejected: [{ offset: 1, column: 'id' }] }
  expect(again).toMatchObject(leftOut)
  expect(elsewhere).toMatchObject(leftOut)
  expect(heard).not.toHaveProperty('rejectedRanges')
})

const deadLetterReason = { code: 'push.table_changed', message: 'the column n is gone' }

async function resendDeadLetters(server: PushServer, storage: Storage) {
  const lines: string[] = []
  const context = {
    open: async () => ({ storage }),
    output: { json: false, line: (text: string) => lines.push(text), error: (text: string) => lines.push(text) },
    signal: new AbortController().signal,
  } as unknown as CommandContext
  const target = { url: server.url, token: 'secret', async [Symbol.asyncDispose]() {} }
  return { exitCode: await pushDeadLetters(context, CLICKS, target), lines }
}

async function lettersIn(storage: Storage) {
  const letters = await Array.fromAsync(deadLetters(CLICKS, storage))
  return Promise.all(
    letters.map(async (letter) => [
      letter.path.split('/').at(-1),
      Buffer.from(await readDeadLetter(letter, storage)).toString(),
    ]),
  )
}

test('dead letters are sent again once each, and what still does not fit becomes a letter of its own', async () => {
  const server = await startServer()
  const put = (name: string, rows: string) =>
    writeDeadLetter(
      { path: `_dead_letters/${CLICKS}/${name}`, reason: deadLetterReason },
      Buffer.from(rows),
      server.lake,
    )
  await put('a-0-2', '{"id":"a"}\n{"id":7}\n')
  await put('b-0-1', '{"id":"b"}\n')

  const { exitCode, lines } = await resendDeadLetters(server, server.lake)
  const left = await lettersIn(server.lake)
  const again = await resendDeadLetters(server, server.lake)
  const leftAgain = await lettersIn(server.lake)
  await server.close()

  expect(exitCode).toBe(1)
  expect(lines).toEqual([
    `_dead_letters/${CLICKS}/a-0-2.ndjson, line 2: id wrong_type, got number, wanted string`,
    `2 dead letters sent to ${CLICKS}, 1 with records that do not fit`,
  ])
  expect(left).toEqual([['a-0-2-rest', '{"id":7}\n']])
  expect(again.exitCode).toBe(1)
  expect(leftAgain).toEqual([['a-0-2-rest2', '{"id":7}\n']])
  expect((await rowsOf(server.lake)).map((row) => row.id).sort()).toEqual(['a', 'b'])
})

test('a letter that is larger than what the door takes at once is sent in pieces', async () => {
  const server = await startServer()
  const rows = Array.from({ length: 60 }, (_, n) => `{"id":"${String(n).padStart(100_000, '0')}"}\n`)
  rows[50] = '{"id":7}\n'
  const path = `_dead_letters/${CLICKS}/a-0-60`
  await writeDeadLetter({ path, reason: deadLetterReason }, Buffer.from(rows.join('')), server.lake)

  const { lines } = await resendDeadLetters(server, server.lake)
  const left = await lettersIn(server.lake)
  await server.close()

  expect(lines[0]).toBe(`${path}.ndjson, line 51: id wrong_type, got number, wanted string`)
  expect(left).toEqual([['a-0-60-rest', '{"id":7}\n']])
  expect((await rowsOf(server.lake)).map((row) => Number(row.id))).toEqual(
    Array.from({ length: 60 }, (_, n) => n).filter((n) => n !== 50),
  )
})

test('whichever await the sender of dead letters dies at, the next one leaves each record in the table or in a letter', async () => {
  const points = await everyCrashPoint(async (crash) => {
    const committed = Promise.withResolvers<void>()
    const server = await startServer({ events: { committed: () => committed.resolve() } })
    const path = `_dead_letters/${CLICKS}/a-0-2`
    const rows = Buffer.from('{"id":"a"}\n{"id":7}\n')
    await writeDeadLetter({ path, reason: deadLetterReason }, rows, server.lake)

    await crash.life(() => resendDeadLetters(server, faultyStorage(server.lake, { crash })))
    // The door has forgotten nothing by the time the records are in the table.
    if ((await lettersIn(server.lake)).some(([name]) => name === 'a-0-2')) {
      await fetch(`${server.url}/zerobus/v1/tables/${CLICKS}/insert`, {
        method: 'POST',
        body: '{"id":"other"}',
        headers: { authorization: 'Bearer secret' },
      })
      await committed.promise
      await resendDeadLetters(server, server.lake)
    }
    const left = await lettersIn(server.lake)
    await server.close()

    expect(left).toEqual([[expect.stringMatching(/^a-0-2-rest2?$/), '{"id":7}\n']])
    expect((await rowsOf(server.lake)).map((row) => row.id).filter((id) => id !== 'other')).toEqual(['a'])
  })

  expect(points).toBeGreaterThan(6)
})

test('whatever a producer sends is answered by an error and a close, and honest ones go on', async () => {
  const server = await startServer({ limits: { messageBytes: 1 << 16 } })
  const honest = await sdkOf(server).createStream({ tableName: CLICKS })
  const open = JSON.stringify({ type: 'open', v: 1, table: CLICKS })
  const cases: (string | Uint8Array)[][] = [
    ['{'],
    [open, open],
    ['{"type":"ingest","offset":0,"count":1,"encoding":"none","rows":"{}"}'],
    [JSON.stringify({ type: 'open', v: 2, table: CLICKS })],
    [JSON.stringify({ type: 'open', v: 1, table: CLICKS, session: 'not-a-session' })],
    [open, encodeBinary({ type: 'ingest', offset: 5, count: 1, encoding: 'none' }, Buffer.from('{"id":"x"}\n'))],
    [open, encodeBinary({ type: 'ingest', offset: 0, count: 9, encoding: 'none' }, Buffer.from('{"id":"x"}\n'))],
    [open, encodeBinary({ type: 'ingest', offset: 0, count: 1, encoding: 'zstd' }, Buffer.from('{"id":"x"}\n'))],
    [open, Buffer.from([255, 255, 255, 255, 0])],
    [open, Buffer.alloc(1 << 17)],
  ]

  for (const messages of cases) {
    const { code, error } = await converse(server, messages)
    expect([1009, 4400, 4401]).toContain(code)
    if (code !== 1009) expect(serverFrames.error.parse(error)).toMatchObject({ retryable: false })
  }
  await honest.ingestRecordOffset({ id: 'honest' })
  await honest.close()
})

/** Sends messages, and returns the first frame of a type that comes; the connection is cut then. */
function exchange(server: PushServer, messages: readonly (string | Uint8Array)[], wanted: string) {
  return new Promise<Record<string, unknown>>((resolve, reject) => {
    const bearer = `bearer.${Buffer.from('secret').toString('base64url')}`
    const socket = new WebSocket(server.url.replace('http', 'ws'), ['lakeflow.zerobus.v1', bearer])
    const [first, ...rest] = messages
    let found: Record<string, unknown> | undefined
    socket.on('open', () => socket.send(first!))
    socket.on('message', (data) => {
      const frame = JSON.parse(String(data)) as Record<string, unknown>
      if (frame.type === 'opened') for (const message of rest) socket.send(message)
      if (frame.type !== wanted) return
      found = frame
      socket.terminate()
    })
    socket.on('error', reject)
    socket.on('close', () => (found ? resolve(found) : reject(new Error(`no ${wanted} came`))))
  })
}

/** Sends messages, each after an answer to `open`, and returns how it ended. */
function converse(server: PushServer, messages: readonly (string | Uint8Array)[]) {
  return new Promise<{ code: number; error: unknown }>((resolve) => {
    const socket = new WebSocket(server.url.replace('http', 'ws'), [
      'lakeflow.zerobus.v1',
      `bearer.${Buffer.from('secret').toString('base64url')}`,
    ])
    let error: unknown
    const [first, ...rest] = messages
    socket.on('open', () => socket.send(first!))
    socket.on('message', (data) => {
      const frame = JSON.parse(String(data)) as { type: string }
      if (frame.type === 'opened') for (const message of rest) socket.send(message)
      if (frame.type === 'error') error = frame
    })
    socket.on('error', () => {})
    socket.on('close', (code) => resolve({ code, error }))
  })
}
