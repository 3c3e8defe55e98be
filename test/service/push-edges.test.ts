import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, expect, test } from '@jest/globals'
import { WebSocket } from 'ws'
import { ZerobusSdk } from '../../sdk/index.ts'
import { createAuthenticator } from '../../shared/push/auth.ts'
import { encodeBinary } from '../../shared/push/frames.ts'
import { memoryQueue } from '../../shared/queue/memory.ts'
import { CLICKS, clicks, rowsOf } from '../support/push.ts'
import { startTestPush, type TestPushServer } from '../support/push-door.ts'
import { tcpProxy } from '../support/tcp-proxy.ts'
import { watchedQueue } from '../support/watched-queue.ts'

const cleanups: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

const open = (more: object = {}) => JSON.stringify({ type: 'open', v: 1, table: CLICKS, ...more })

function socketTo(server: TestPushServer, first?: string): Promise<WebSocket> {
  const bearer = `bearer.${Buffer.from('secret').toString('base64url')}`
  const socket = new WebSocket(server.url.replace('http', 'ws'), ['lakeflow.zerobus.v1', bearer])
  socket.on('error', () => {})
  cleanups.push(async () => socket.terminate())
  return new Promise((resolve) =>
    socket.on('open', () => {
      if (first) socket.send(first)
      resolve(socket)
    }),
  )
}

const closeOf = (socket: WebSocket) => new Promise<number>((resolve) => socket.on('close', resolve))

async function until(condition: () => boolean) {
  while (!condition()) await sleep(10)
}

test('a producer on a slow network waits instead of growing, and all of it arrives', async () => {
  const server = await startTestPush(cleanups)
  const proxy = await tcpProxy({ bytesPerSecond: 2 << 20 })
  proxy.use(server.port)
  cleanups.push(() => proxy.close())
  const maxBufferedBytes = 256 << 10
  let acked = 0
  let most = 0
  const stream = await new ZerobusSdk(proxy.url, { token: 'secret' }).createStream(
    { tableName: CLICKS },
    {
      compression: 'none',
      maxBufferedBytes,
      maxBatchBytes: 64 << 10,
      onAck: (offset) => {
        acked = Number(offset) + 1
      },
    },
  )

  const record = (n: number) => `{"id":"${String(n).padStart(990, '0')}"}`
  for (let n = 0; n < 4000; n++) {
    await stream.ingestRecordOffset(record(n))
    most = Math.max(most, n + 1 - acked)
  }
  await stream.close()
  await server.close()

  // A record is 1,000 bytes: never more than the buffer and the batch that went over it.
  expect(most * 1000).toBeLessThan(maxBufferedBytes + 2000)
  expect(most * 1000).toBeGreaterThan(maxBufferedBytes / 2)
  expect(await rowsOf(server.lake)).toHaveLength(4000)
})

test('a producer that does not take its answers is not read on, and gets every one of them later', async () => {
  const { queue, taken } = watchedQueue(memoryQueue())
  const server = await startTestPush(cleanups, { queue })
  const socket = await socketTo(server, open())
  await new Promise((resolve) => socket.once('message', resolve))
  // Each batch of 100 bytes is answered with 100 reasons: ten kilobytes.
  const rows = Buffer.from('5\n'.repeat(100))
  const batches = 12_000
  const rejected: number[] = []
  let durable = 0
  socket.on('message', (data) => {
    const frame = JSON.parse(String(data))
    durable = frame.durable ?? durable
    if (frame.rejected) rejected.push(frame.rejected.length)
  })

  socket.pause()
  for (let i = 0; i < batches; i++)
    socket.send(encodeBinary({ type: 'ingest', offset: i * 100, count: 100, encoding: 'none' }, rows))
  await until(() => taken.length > 0)
  let before = -1
  while (before !== taken.length) {
    before = taken.length
    await sleep(500)
  }
  const stalledAt = taken.length
  socket.resume()
  await until(() => durable === batches * 100)

  // A window of batches, the kernel's buffers and one megabyte of ours hold some; the rest was not read.
  expect(stalledAt).toBeLessThan(batches * 0.6)
  expect({ durable, taken: taken.length, told: rejected.length }).toEqual({
    durable: batches * 100,
    taken: batches,
    told: batches,
  })
})

test('a handshake that fails gives its place back', async () => {
  const token = {
    name: 'w',
    token: 'secret',
    grants: [{ tables: ['*'], actions: ['write' as const] }],
    quota: { sessions: 1 },
  }
  const server = await startTestPush(cleanups, { authenticate: createAuthenticator({ tokens: [token] }) })
  for (let i = 0; i < 3; i++) {
    const socket = connect(server.port, '127.0.0.1')
    socket.write(
      'GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nAuthorization: Bearer secret\r\n\r\n',
    )
    await new Promise((resolve) => socket.on('data', resolve))
    socket.destroy()
  }

  const stream = await new ZerobusSdk(server.url, { token: 'secret' }).createStream({ tableName: CLICKS })
  const second = await socketTo(server)
  const code = await closeOf(second)
  await stream.close()

  expect(code).toBe(4503)
})

test('a connection that opens no session in time is closed, and one that claims durable records of a new session refused', async () => {
  const server = await startTestPush(cleanups, { settings: { openMs: 50 } })

  expect(await closeOf(await socketTo(server))).toBe(4400)
  expect(await closeOf(await socketTo(server, open({ durable: 5 })))).toBe(4400)
})

test('an address that is none is answered, and so is a body that is too large, to the one who still sends it', async () => {
  const server = await startTestPush(cleanups, { limits: { messageBytes: 10_000 } })
  const socket = connect(server.port, '127.0.0.1')
  socket.write('POST //[ HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n')
  const text = await new Promise<string>((resolve) => socket.on('data', (data) => resolve(String(data))))
  socket.destroy()
  const large = await fetch(`${server.url}/zerobus/v1/tables/${CLICKS}/insert`, {
    method: 'POST',
    headers: { authorization: 'Bearer secret' },
    body: Buffer.alloc(8 << 20, '{"id":"a"}\n'),
  })

  expect(text).toMatch(/^HTTP\/1.1 404/)
  expect(large.status).toBe(413)
  expect(await large.json()).toMatchObject({ error: { code: 'push.too_large', remedy: 'fix', retryable: false } })
})

test('the rate of a token holds requests back that have no session', async () => {
  const quota = { bytesPerSecond: 20_000 }
  const token = { name: 'w', token: 'secret', grants: [{ tables: ['*'], actions: ['write' as const] }], quota }
  const server = await startTestPush(cleanups, { authenticate: createAuthenticator({ tokens: [token] }) })
  const startedMs = Date.now()
  for (let i = 0; i < 3; i++)
    await fetch(`${server.url}/zerobus/v1/tables/${CLICKS}/insert`, {
      method: 'POST',
      headers: { authorization: 'Bearer secret' },
      body: '{"id":"a"}\n'.repeat(1000),
    })

  // 33 KB at 20 KB a second, of which one second's worth passes at once.
  expect(Date.now() - startedMs).toBeGreaterThan(600)
})

test('two sessions of a table: what one brings becomes columns, and the other hears of it without reconnecting', async () => {
  const policy = { onReject: 'record', schemaEvolution: 'add_columns' } as const
  const server = await startTestPush(cleanups, { tables: [{ ...clicks, policy }] })
  const sdk = new ZerobusSdk(server.url, { token: 'secret' })
  const heard: string[][] = []
  const listening = await sdk.createStream(
    { tableName: CLICKS },
    { onSchema: (columns) => heard.push(columns.map(({ name, type }) => `${name} ${type}`)) },
  )
  const bringing = await sdk.createStream({ tableName: CLICKS })

  await bringing.waitForOffset(await bringing.ingestRecordOffset({ id: 'a', at: { lat: 1.5 } }))
  await until(() => heard.length === 1)
  await bringing.waitForOffset(await bringing.ingestRecordOffset({ id: 'b', at: { lat: 1.5, lon: 2 } }))
  await until(() => heard.length === 2)
  await listening.ingestRecordOffset({ id: 'c', at: { lon: 3 } })
  await Promise.all([listening.close(), bringing.close()])
  await server.close()

  expect(heard).toEqual([
    ['id string', 'n long', 'at struct<lat:double>'],
    ['id string', 'n long', 'at struct<lat:double,lon:long>'],
  ])
  const rows = (await rowsOf(server.lake)).sort((x, y) => (String(x.id) < String(y.id) ? -1 : 1))
  expect(rows).toMatchObject([{ at: { lat: 1.5 } }, { at: { lat: 1.5, lon: 2n } }, { at: { lat: null, lon: 3n } }])
})
