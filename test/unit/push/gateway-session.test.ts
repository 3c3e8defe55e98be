import { expect, test } from '@jest/globals'
import type { Principal } from '../../../shared/push/auth.ts'
import { encodeBinary, type ServerFrame } from '../../../shared/push/frames.ts'
import { removeConnection } from '../../../shared/push/gateway-connections.ts'
import {
  createGatewaySessions,
  gatewayLimits,
  gatewayWindow,
  postWindow,
} from '../../../shared/push/gateway-session.ts'
import { pressureOf } from '../../../shared/push/pressure.ts'
import { createPushTables } from '../../../shared/push/tables.ts'
import { validateRows } from '../../../shared/push/validate.ts'
import { memoryQueue } from '../../../shared/queue/memory.ts'
import { memoryState } from '../../../shared/state/memory.ts'
import { memoryStorage } from '../../../shared/storage/memory.ts'
import { column, seededRandom } from '../../support/delta.ts'
import { CLICKS, clicks, handClock, rowsText } from '../../support/push.ts'
import { pushFunctions } from '../../support/push-functions.ts'

const producer: Principal = { subject: 'token:a', grants: [{ tables: ['*'], actions: ['write', 'create'] }], quota: {} }

function world() {
  const clock = handClock()
  const ports = {
    clock,
    storage: memoryStorage(),
    state: memoryState({ clock }),
    queue: memoryQueue({ clock }),
    flushed: memoryQueue({ clock }),
  }
  const told: ServerFrame[] = []
  /** One of the processes that messages of a connection reach. */
  const process = (seed: number) => {
    const tables = createPushTables([clicks], { ...ports, random: seededRandom(seed) }, 0)
    return createGatewaySessions({
      ...ports,
      tables: async () => ({ tables, mayCreate: true }),
      validate: async (input) => validateRows(input),
      limits: gatewayLimits,
      room: pressureOf(ports, 10 * ingestBytes),
      postUrl: 'https://http/connections',
      tell: async (_id, frame) => void told.push(frame),
    })
  }
  const connection = (id: string, principal = producer) => ({ id, principal, connectedAtMs: clock.now() })
  return { ports, clock, told, process, connection }
}

const open = (more = {}) => JSON.stringify({ type: 'open', v: 1, table: CLICKS, ...more })
const ingest = (from: number, to: number, session = 'a') =>
  JSON.stringify({
    type: 'ingest',
    offset: from,
    count: to - from,
    encoding: 'none',
    rows: Buffer.from(rowsText(session, from, to)).toString(),
  })

/** Of the rows of one record. */
const ingestBytes = rowsText('a', 0, 1).length

/** The same as `ingest`, as it is posted. */
const posted = (from: number, to: number) =>
  encodeBinary({ type: 'ingest', offset: from, count: to - from, encoding: 'none' }, rowsText('a', from, to))

test('messages of one session may reach any process: each ack says how far the session is without a gap', async () => {
  const { process, connection } = world()
  const [first, second, third] = [process(1), process(2), process(3)]
  const c = connection('c1')

  const opened = await first.answer(open(), c)
  const later = await second.answer(ingest(3, 5), c)
  const earlier = await third.answer(ingest(0, 3), c)

  expect(opened).toMatchObject({ type: 'opened', durable: 0, binary: false, limits: { messageBytes: 32_768 } })
  expect(later).toMatchObject({ type: 'ack', durable: 0 })
  expect(earlier).toMatchObject({ type: 'ack', durable: 5, committed: 0 })
})

/** Record 1 does not fit. */
const oneBad = JSON.stringify({
  type: 'ingest',
  offset: 0,
  count: 2,
  encoding: 'none',
  rows: '{"id":"x"}\n{"id":7}\n',
})
const leftOut = { rejectedRanges: [[1, 2]], rejected: [{ offset: 1, code: 'wrong_type' }] }

test('whatever first says that a batch is durable also names what was left out of it', async () => {
  const { process, connection } = world()
  const c = connection('c1')
  const [first, second] = [process(1), process(2)]
  const { session } = (await first.answer(open(), c)) as { session: string }

  // Its own answer comes last, or never.
  await first.answer(oneBad, c)
  const other = await second.answer(ingest(2, 3), c)
  const later = await second.answer(ingest(3, 4), c)
  const pong = await process(3).answer('{"type":"ping"}', c)
  const closed = await process(4).answer('{"type":"close"}', c)
  const resumed = await process(5).answer(open({ session, durable: 0 }), connection('c2'))
  const heard = await process(6).answer(open({ session, durable: 4 }), connection('c3'))

  expect(other).toMatchObject({ type: 'ack', durable: 3, ...leftOut })
  expect(later).not.toHaveProperty('rejectedRanges')
  expect(pong).toMatchObject({ type: 'pong', durable: 4, ...leftOut })
  expect(closed).toMatchObject({ type: 'closed', durable: 4, ...leftOut })
  expect(resumed).toMatchObject({ type: 'opened', durable: 4, ...leftOut })
  expect(heard).not.toHaveProperty('rejectedRanges')
})

test('an answer covers no more records than it can name the left out of', async () => {
  const { process, connection } = world()
  const c = connection('c1')
  await process(1).answer(open(), c)
  const rows = '{"id":"x"}\n{"id":7}\n'.repeat(5000)
  const big = JSON.stringify({ type: 'ingest', offset: 0, count: 10_000, encoding: 'none', rows })

  const server = process(2)
  const durable: number[] = []
  let named = 0
  for (const message of [big, '{"type":"ping"}', '{"type":"ping"}']) {
    const answer = (await server.answer(message, c)) as { durable: number; rejectedRanges: [number, number][] }
    durable.push(answer.durable)
    named += answer.rejectedRanges.length
    expect(JSON.stringify(answer).length).toBeLessThan(128 << 10)
    expect(answer.rejectedRanges.every(([, to]) => to <= answer.durable)).toBe(true)
  }

  expect(durable).toEqual([4001, 8001, 10_000])
  expect(named).toBe(5000)
})

test('a session goes on after its last acknowledged record on another connection, and its rows are in the table once', async () => {
  const { ports, process, connection } = world()
  const { session } = (await process(1).answer(open(), connection('c1'))) as { session: string }
  await process(1).answer(ingest(0, 4), connection('c1'))

  const resumed = await process(2).answer(open({ session }), connection('c2'))
  await process(2).answer(ingest(2, 6), connection('c2'))
  // The second batch begins inside of the first: its file is given up, and what is new of it comes with the next.
  for (const seed of [7, 8]) {
    await pushFunctions(ports, seed).flush()
    await pushFunctions(ports, seed).commit()
  }

  expect(resumed).toMatchObject({ session, durable: 4 })
  expect(await process(3).answer('{"type":"ping","id":1}', connection('c2'))).toEqual({
    type: 'pong',
    id: 1,
    durable: 6,
    committed: 6,
  })
  expect(await process(3).answer('{"type":"close"}', connection('c2'))).toMatchObject({ type: 'closed', committed: 6 })
})

test('what a producer says was acknowledged elsewhere counts from then on', async () => {
  const { process, connection } = world()
  const { session } = (await process(1).answer(open(), connection('c1'))) as { session: string }

  const resumed = await process(2).answer(open({ session, durable: 3 }), connection('c2'))

  expect(resumed).toMatchObject({ durable: 3 })
  expect(await process(3).answer(ingest(3, 4), connection('c2'))).toMatchObject({ durable: 4 })
})

test('frames of a session may be posted beside those on its socket, and their answer is the same ack', async () => {
  const { process, connection } = world()
  const opened = await process(1).answer(open(), connection('c1='))

  const [later, earlier] = [
    await process(2).answerPosted(posted(3, 5), { id: 'c1=', principal: producer }),
    await process(3).answer(ingest(0, 3), connection('c1=')),
  ]

  expect(opened).toMatchObject({ post: { url: 'https://http/connections/c1%3D/frames', window: postWindow } })
  expect(later).toMatchObject({ type: 'ack', durable: 0, window: { records: expect.any(Number) } })
  expect(earlier).toMatchObject({ type: 'ack', durable: 5 })
})

test.each([
  ['a connection that has ended', 'c2', producer, 'push.unreachable', true],
  ['a connection of somebody else', 'c1', { ...producer, subject: 'token:b' }, 'push.unreachable', true],
  ['a table that the token may not write by now', 'c1', { ...producer, grants: [] }, 'push.not_permitted', false],
  ['a token that has ended', 'c1', { ...producer, expiresAtMs: 0 }, 'push.unauthenticated', false],
])('nothing is taken from a post to %s', async (_name, id, principal: Principal, code, retryable) => {
  const { ports, process, connection } = world()
  await process(1).answer(open(), connection('c1'))

  const answer = await process(2).answerPosted(posted(0, 1), { id, principal })

  expect(answer).toMatchObject({ type: 'error', code, retryable })
  expect(await ports.queue.depth()).toMatchObject({ records: 0 })
})

test('only ingest frames of 4 MB are posted', async () => {
  const { process, connection } = world()
  await process(1).answer(open(), connection('c1'))
  const to = { id: 'c1', principal: producer }
  const ping = Buffer.concat([Buffer.from([0, 0, 0, 15]), Buffer.from('{"type":"ping"}')])

  expect(await process(1).answerPosted(ping, to)).toMatchObject({ code: 'push.frame_invalid' })
  expect(await process(1).answerPosted(new Uint8Array((4 << 20) + 1), to)).toMatchObject({ code: 'push.too_large' })
})

test('an ack reads what became durable since the one before, however much waits for its commit', async () => {
  const { ports, process, connection } = world()
  const server = process(1)
  await server.answer(open(), connection('c1'))
  for (let i = 0; i < 50; i++) await server.answer(ingest(i, i + 1), connection('c1'))
  const { list } = ports.state
  let read = 0
  ports.state.list = async (...query) => {
    const entries = await list.apply(ports.state, query)
    read += entries.length
    return entries
  }

  const ack = await server.answer(ingest(50, 51), connection('c1'))

  expect(ack).toMatchObject({ durable: 51, committed: 0 })
  expect(read).toBeLessThan(3)
})

test('the window shrinks as the queue fills, and is whole again when it is empty', async () => {
  const { ports, clock, process, connection } = world()
  const server = process(1)
  await server.answer(open(), connection('c1'))
  for (let i = 0; i < 9; i++) await server.answer(ingest(i, i + 1), connection('c1'))
  clock.forward(5000)

  const full = await server.answer(ingest(9, 10), connection('c1'))
  await pushFunctions(ports, 7).flush()
  clock.forward(5000)
  const empty = await server.answer(ingest(10, 11), connection('c1'))

  expect(full).toMatchObject({ window: { bytes: 0 } })
  expect((empty as { window: { bytes: number } }).window.bytes).toBeGreaterThan(gatewayWindow.bytes / 2)
})

test('a token over its quota of bytes is answered late, and may have one batch in flight', async () => {
  const { clock, process, connection } = world()
  const slow = { ...producer, quota: { bytesPerSecond: 100 } }
  await process(1).answer(open(), connection('c1', slow))
  const startMs = clock.now()

  const ack = await process(2).answer(ingest(0, 20), connection('c1', slow))

  expect(ack).toMatchObject({ type: 'ack', durable: 20, window: { bytes: 0, records: 0 } })
  expect(clock.now() - startMs).toBeGreaterThan(1000)
})

test('a token opens as many sessions as it may, counted over all processes, and a closed one makes room', async () => {
  const { ports, process, connection } = world()
  const one = { ...producer, quota: { sessions: 1 } }
  await process(1).answer(open(), connection('c1', one))

  const second = await process(2).answer(open(), connection('c2', one))
  await removeConnection('c2', ports.state)
  await removeConnection('c1', ports.state)
  const third = await process(3).answer(open(), connection('c3', one))

  expect(second).toMatchObject({ type: 'error', code: 'push.quota_exceeded', retryable: true })
  expect(third).toMatchObject({ type: 'opened' })
})

test('an old connection and an ending token are told to drain; an ended token is refused', async () => {
  const { clock, told, process, connection } = world()
  const old = connection('c1')
  await process(1).answer(open(), old)
  clock.forward(111 * 60_000)

  await process(1).answer(ingest(0, 1), old)
  const expiresAtMs = clock.now() + 10_000
  await process(1).answer('{"type":"ping"}', connection('c2', { ...producer, expiresAtMs }))
  clock.forward(10_000)
  const refused = await process(1).answer('{"type":"ping"}', connection('c2', { ...producer, expiresAtMs }))

  expect(told).toEqual([
    { type: 'drain', inMs: 30_000, reason: 'the connection has reached its age limit' },
    { type: 'drain', inMs: 30_000, reason: 'the token expires' },
  ])
  expect(refused).toMatchObject({ type: 'error', code: 'push.unauthenticated' })
})

test('columns that were added are told to a producer that knows the old ones', async () => {
  const { ports, told, process, connection } = world()
  await process(1).answer(open(), connection('c1'))
  const tables = createPushTables([clicks], { ...ports, random: seededRandom(50) }, 0)
  await tables.addColumns((await tables.open(CLICKS))!, [column('extra', 'long')])

  await process(2).answer(ingest(0, 1), connection('c1'))

  expect(told).toMatchObject([{ type: 'schema', schemaVersion: 2 }])
})

test('a session that may, creates its table from its first records', async () => {
  const { process, connection } = world()
  const other = open({ table: 'main.events.fresh', create: true })

  const opened = await process(1).answer(other, connection('c1'))
  const ack = await process(2).answer(ingest(0, 2), connection('c1'))

  expect(opened).not.toHaveProperty('columns')
  expect(ack).toMatchObject({ type: 'ack', durable: 2 })
})

test.each([
  ['no open before it', ingest(0, 1), 'push.frame_invalid'],
  ['another version', JSON.stringify({ type: 'open', v: 2, table: CLICKS }), 'push.version_unsupported'],
  ['no such table', open({ table: 'main.no.table' }), 'push.not_permitted'],
  ['a session of somebody else', open({ session: 'somebody-elses' }), 'push.session_unknown'],
])('%s is answered by an error', async (_name, text, code) => {
  const { process, connection } = world()

  expect(await process(1).answer(text, connection('c1'))).toMatchObject({ type: 'error', code, retryable: false })
})
