import { afterEach, expect, test } from '@jest/globals'
import { WebSocket } from 'ws'
import type { PushServer, PushServerOptions } from '../../local/push-server.ts'
import { RejectedRecordsError, ZerobusSdk } from '../../sdk/index.ts'
import { encodeBinary, serverFrames } from '../../shared/push/frames.ts'
import { memoryState } from '../../shared/state/memory.ts'
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
