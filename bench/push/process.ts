import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { zstdCompressSync } from 'node:zlib'
import { WebSocket, WebSocketServer } from 'ws'
import { startPushServer } from '../../local/push-server.ts'
import { systemClock } from '../../shared/core/clock.ts'
import { systemRandom } from '../../shared/core/random.ts'
import { createAuthenticator } from '../../shared/push/auth.ts'
import { type AckFrame, encodeBinary, type ServerFrame } from '../../shared/push/frames.ts'
import { decompress, defaultLimits } from '../../shared/push/payload.ts'
import { defaultPolicy } from '../../shared/push/tables.ts'
import { diskQueue } from '../../shared/queue/disk.ts'
import { parseTypeText } from '../../shared/schema/type-text.ts'
import type { Field } from '../../shared/schema/types.ts'
import { sqliteState } from '../../shared/state/sqlite.ts'
import { diskStorage } from '../../shared/storage/disk.ts'
import type { ProducerResult, PushBench } from '../push.ts'

/** One process of the benchmark: the server, a bare socket that only answers, or the producers. */
const TABLE = 'main.bench.events'
const TOKEN = 'bench'
/** Distinct messages; they are sent again and again. */
const POOL_BYTES = 32 << 20

const config = JSON.parse(process.argv[2]!) as PushBench
const say = (what: string, value: unknown) => process.send!({ what, value })

if (config.role === 'server') await serve()
if (config.role === 'bare') serveBare()
if (config.role === 'producer') say('done', await produce())
process.on('message', (message) => {
  if (message === 'exit') process.exit(0)
})

async function serve() {
  const columns: Record<string, string> = {
    frame: 'long',
    row: 'long',
    event: 'string',
    user: 'struct<id:string,country:string,age:long>',
    url: 'string',
    amount: 'double',
    ok: 'boolean',
    at: 'timestamp',
    tags: 'array<string>',
    note: 'string',
  }
  const fields: Field[] = Object.entries(columns).map(([name, text]) => ({
    name,
    type: parseTypeText(text),
    nullable: true,
  }))
  const server = await startPushServer({
    storage: diskStorage(join(config.folder, 'lake')),
    state: sqliteState(join(config.folder, 'state.db')),
    queue: await diskQueue(join(config.folder, 'queue')),
    clock: systemClock,
    random: systemRandom,
    tables: [{ name: TABLE, policy: defaultPolicy, schema: { fields } }],
    authenticate: createAuthenticator({
      tokens: [{ name: 'bench', token: TOKEN, grants: [{ tables: ['*'], actions: ['write'] }], quota: {} }],
    }),
    port: 0,
    settings: { drainMs: 500 },
    events: {
      failed: (error) => console.error(error),
      ...(process.env.BENCH_VERBOSE
        ? { committed: ({ version, rows, files, lagMs }) => console.error({ version, rows, files, lagMs }) }
        : {}),
    },
  })
  usageOnStop(() => server.close())
  say('listening', { port: server.port })
}

/** The limit: the same messages through `ws`, each answered at once, and nothing done with them, or only decompression. */
function serveBare() {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: false, maxPayload: 16 << 20 })
  server.on('connection', (socket) => {
    socket.on('message', (data: Buffer, isBinary) => {
      if (!isBinary) return socket.send(JSON.stringify({ type: 'opened', window: { bytes: 4 << 20 }, durable: 0 }))
      const headerEnd = 4 + data.readUInt32BE(0)
      const header = JSON.parse(data.toString('utf8', 4, headerEnd)) as { offset: number; count: number }
      if (config.decompress) decompress(data.subarray(headerEnd), config.encoding, defaultLimits.batchBytes)
      socket.send(JSON.stringify({ type: 'ack', durable: header.offset + header.count, committed: 0 }))
    })
  })
  usageOnStop(async () => server.close())
  server.on('listening', () => say('listening', { port: (server.address() as { port: number }).port }))
}

/** Memory at its peak, and processor time without that of the start. */
function usageOnStop(stop: () => Promise<unknown>) {
  const cpu = process.cpuUsage()
  process.on('message', (message) => {
    if (message !== 'stop') return
    void stop().then(() => {
      const { user, system } = process.cpuUsage(cpu)
      const peakRssMb = (process.resourceUsage().maxRSS * 1024) / 1e6
      say('usage', { cpuSeconds: (user + system) / 1e6, peakRssMb })
      setTimeout(() => process.exit(0), 100)
    })
  })
}

async function produce(): Promise<ProducerResult> {
  const pool = messages()
  say('made', pool.rows)
  const cpu = process.cpuUsage()
  const startedMs = Date.now()
  const endMs = startedMs + config.seconds * 1000
  const sessions = await Promise.all(
    Array.from({ length: config.sessions }, (_, i) => session(i, pool, startedMs, endMs)),
  )
  const { user, system } = process.cpuUsage(cpu)
  return {
    startedMs,
    endedMs: Math.max(...sessions.map(({ lastAckMs }) => lastAckMs)),
    cpuSeconds: (user + system) / 1e6,
    rowsPerFrame: pool.rows,
    sends: sessions.flatMap(({ sends }) => sends),
    ackMs: sessions.flatMap(({ ackMs }) => ackMs),
    acked: sessions.reduce((sum, { acked }) => sum + acked, 0),
  }
}

/** Pre-built rows of events of 402 bytes; `frame` and `row` identify each of them. */
function messages() {
  const rows = Math.max(1, Math.floor(config.messageBytes / 402))
  const count = Math.max(8, Math.floor(POOL_BYTES / config.messageBytes))
  const bodies = Array.from({ length: count }, (_, frame) => {
    const text = Array.from({ length: rows }, (_, row) => event(frame, row)).join('')
    const raw = Buffer.from(text)
    return config.encoding === 'zstd' ? zstdCompressSync(raw) : raw
  })
  return { rows, bodies }
}

function event(frame: number, row: number): string {
  const digest = createHash('sha256').update(`${frame}/${row}`).digest('hex')
  const fixed = {
    frame,
    row,
    event: ['page_view', 'click', 'purchase', 'scroll'][row % 4],
    user: {
      id: `u-${digest.slice(0, 12)}`,
      country: ['DE', 'US', 'BR', 'JP', 'IN'][(row * 7) % 5],
      age: 18 + (row % 60),
    },
    url: `https://shop.example/products/${digest.slice(12, 20)}?ref=${row % 17}`,
    amount: ((frame * 31 + row * 7) % 100_000) / 100,
    ok: row % 3 !== 0,
    at: new Date(1_790_000_000_000 + frame * 1000 + row).toISOString(),
    tags: [`t${row % 11}`, `t${frame % 13}`],
    note: '',
  }
  const room = 402 - Buffer.byteLength(JSON.stringify(fixed)) - 1
  return `${JSON.stringify({ ...fixed, note: `${digest}${digest}`.slice(0, Math.max(0, room)).padEnd(Math.max(0, room), '.') })}\n`
}

async function session(index: number, pool: ReturnType<typeof messages>, startedMs: number, endMs: number) {
  const protocols = ['lakeflow.zerobus.v1', `bearer.${Buffer.from(TOKEN).toString('base64url')}`]
  const socket = new WebSocket(`ws://127.0.0.1:${config.port}`, protocols, { perMessageDeflate: false })
  const inFlight: { end: number; sentMs: number; bytes: number }[] = []
  const ackMs: number[] = []
  const sends: { frame: number; sentMs: number }[] = []
  let windowBytes = 1 << 20
  let bytes = 0
  let offset = 0
  let acked = 0
  let lastAckMs = 0
  let wake = () => {}
  socket.on('message', (data) => {
    const frame = JSON.parse(String(data)) as ServerFrame
    if (frame.type === 'error') throw new Error(`${frame.code}: ${frame.message}`)
    if (frame.type === 'opened') windowBytes = frame.window.bytes
    if (frame.type === 'ack') acknowledge(frame)
    wake()
  })
  await new Promise((resolve) => socket.once('open', resolve))
  socket.send(JSON.stringify({ type: 'open', v: 1, table: TABLE }))
  await new Promise<void>((resolve) => {
    wake = resolve
  })

  function acknowledge({ durable }: AckFrame) {
    const now = performance.timeOrigin + performance.now()
    if (durable > acked) lastAckMs = now
    acked = Math.max(acked, durable)
    while (inFlight[0] && inFlight[0].end <= durable) {
      const { sentMs, bytes: size } = inFlight.shift()!
      ackMs.push(now - sentMs)
      bytes -= size
    }
  }

  const pauseMs = config.rateMBps === 0 ? 0 : (config.sessions * pool.rows * 402) / (config.rateMBps * 1000)
  for (let n = index; Date.now() < endMs; n += config.sessions) {
    const dueMs = startedMs + ((n - index) / config.sessions) * pauseMs + (index * pauseMs) / config.sessions
    if (dueMs > Date.now() + 1) await sleep(dueMs - Date.now())
    const frame = n % pool.bodies.length
    const body = pool.bodies[frame]!
    while (bytes > 0 && bytes + body.length > windowBytes)
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    const sentMs = performance.timeOrigin + performance.now()
    socket.send(encodeBinary({ type: 'ingest', offset, count: pool.rows, encoding: config.encoding }, body))
    offset += pool.rows
    bytes += body.length
    inFlight.push({ end: offset, sentMs, bytes: body.length })
    sends.push({ frame, sentMs })
    // Let acks in between two messages.
    if (n % 8 === index % 8) await new Promise(setImmediate)
  }
  while (acked < offset)
    await new Promise<void>((resolve) => {
      wake = resolve
    })
  return { acked, ackMs, sends, lastAckMs }
}
