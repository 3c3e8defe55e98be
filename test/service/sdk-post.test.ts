import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, expect, test } from '@jest/globals'
import { type StreamOptions, ZerobusSdk } from '../../sdk/index.ts'
import { decodeBinary } from '../../shared/push/frames.ts'
import { scriptedServer } from '../support/scripted-server.ts'

/** A frame that was posted, and the request's other half. */
interface Posted {
  offset: number
  count: number
  authorization: string | undefined
  connection: string
  answer(frame: object, status?: number): void
}

const stops: (() => void)[] = []
afterEach(() => {
  for (const stop of stops.splice(0)) stop()
})

/** A server whose sockets say that frames may be posted, each connection to an address of its own. */
async function gateway(onPost: (posted: Posted) => void, options: StreamOptions = {}) {
  const http = createServer(async (request, response: ServerResponse) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const { offset, count } = decodeBinary(Buffer.concat(chunks)).frame as { offset: number; count: number }
    onPost({
      offset,
      count,
      authorization: request.headers.authorization,
      connection: request.url!,
      answer: (frame, status = 200) => response.writeHead(status).end(JSON.stringify(frame)),
    })
  })
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  stops.push(() => {
    http.closeAllConnections()
    http.close()
  })
  const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`
  const { opened } = scriptedServer()
  const post = { messageBytes: 1 << 20, window: { bytes: 1 << 20, records: 1000 } }
  const server = scriptedServer({
    opened: (peer, connection) => peer.send({ ...opened, post: { ...post, url: `${url}/${connection}` } }),
  })
  const sdk = new ZerobusSdk('http://scripted', { token: 'secret', webSocket: server.webSocket })
  const quick = { lingerMs: 1, recoveryBackoffMs: 1, ...options }
  return { ...server, stream: await sdk.createStream({ tableName: 'main.events.clicks' }, quick) }
}

const ids = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => ({ id: from + i }))
const ack = (durable: number) => ({ type: 'ack', durable, committed: 0 })

test('where a server takes posts, batches go there with the token, and the answers are acks', async () => {
  const posts: Posted[] = []
  const { stream, peers } = await gateway((posted) => {
    posts.push(posted)
    posted.answer(ack(posted.offset + posted.count))
  })

  await stream.ingestRecordsOffset(ids(0, 10))
  await stream.close()

  expect(posts).toMatchObject([{ offset: 0, count: 10, authorization: 'Bearer secret', connection: '/0' }])
  expect(peers[0]).toMatchObject({ ingests: [], saidClose: true })
})

test('what comes while a request is under way is gathered into the next one', async () => {
  const posts: Posted[] = []
  const { stream } = await gateway((posted) => {
    posts.push(posted)
    if (posts.length > 1) posted.answer(ack(posted.offset + posted.count))
  })

  for (const [from, to] of [
    [0, 1],
    [1, 2],
    [2, 3],
  ] as const) {
    await stream.ingestRecordsOffset(ids(from, to))
    await new Promise((resolve) => setTimeout(resolve, 30))
  }
  posts[0]!.answer(ack(1))
  await stream.close()

  expect(posts.map(({ offset, count }) => [offset, count])).toEqual([
    [0, 1],
    [1, 2],
  ])
})

test.each([
  ['an answer of the gateway itself', (posted: Posted) => posted.answer({ message: 'Service Unavailable' }, 503)],
  [
    'a frame that says it may be tried again',
    (posted: Posted) => {
      posted.answer({ type: 'error', code: 'push.unreachable', message: 'ended', retryable: true })
    },
  ],
])('after %s the session goes on with what was not acknowledged', async (_name, fail) => {
  let failures = 0
  const { stream, peers } = await gateway((posted) => {
    if (failures++ === 0) fail(posted)
    else posted.answer(ack(posted.offset + posted.count))
  })

  await stream.ingestRecordsOffset(ids(0, 5))
  await stream.close()

  expect(peers).toHaveLength(2)
  expect(peers[1]!.open).toMatchObject({ session: 's1', durable: 0 })
  expect(await stream.getUnackedRecords()).toEqual([])
})

test('where requests get no answer the next connection sends on its socket', async () => {
  const { stream, peers } = await gateway((posted) => posted.answer({ message: 'Forbidden' }, 403), {
    compression: 'none',
  })

  await stream.ingestRecordsOffset(ids(0, 5))
  await stream.close()

  expect(peers.map(({ ingests }) => ingests.length)).toEqual([0, 1])
})
