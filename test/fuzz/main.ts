import { connect } from 'node:net'
import fc from 'fast-check'
import { WebSocket } from 'ws'
import { startPushServer } from '../../local/push-server.ts'
import { systemClock } from '../../shared/core/clock.ts'
import { systemRandom } from '../../shared/core/random.ts'
import { createAuthenticator } from '../../shared/push/auth.ts'
import { memoryQueue } from '../../shared/queue/memory.ts'
import { memoryState } from '../../shared/state/memory.ts'
import { memoryStorage } from '../../shared/storage/memory.ts'
import { clicks, rowsOf } from '../support/push.ts'
import { type Conversation, conversations } from '../support/push-conversations.ts'
import { fuzzLimits } from '../support/push-faults.ts'
import { converse, fuzzWorld, request } from '../support/push-fuzz-world.ts'
import { Judge, judgeAnswer, judgeTable } from '../support/push-judge.ts'
import { type HttpRequest, httpRequests } from '../support/push-requests.ts'
import { watchedQueue } from '../support/watched-queue.ts'

/**
 * Sends whatever the generators of the unit test think of: `npm run fuzz -- 1000000 [seed]`. One case in ten goes through a
 * real server on a real socket. Ends with 1 at the first broken promise, told with the seed and the smallest case found.
 */
const cases = Number(process.argv[2] ?? 100_000)
const seed = Number(process.argv[3] ?? Date.now() % 2 ** 31)
const CHUNK = 5000

interface Outcome {
  broken: readonly string[]
  ended: string
}

const ends = new Map<string, number>()
let done = 0

function noteEnd(kind: string, { broken, ended }: Outcome) {
  ends.set(`${kind} ${ended}`, (ends.get(`${kind} ${ended}`) ?? 0) + 1)
  done++
  blame(broken.map((what) => `${kind}: ${what}`))
}

function blame(broken: readonly string[]) {
  if (broken.length > 0) throw new Error(broken.join('; '))
}

async function inProcess(numRuns: number, chunkSeed: number) {
  const world = fuzzWorld()
  const session = fc.asyncProperty(conversations, async (one) => noteEnd('session', await converse(one, world)))
  const posted = fc.asyncProperty(httpRequests, async (one) => noteEnd('http', await request(one, world)))
  await fc.assert(session, { numRuns: Math.round(numRuns * 0.75), seed: chunkSeed })
  await fc.assert(posted, { numRuns: Math.round(numRuns * 0.25), seed: chunkSeed })
  blame(await world.finish())
}

async function throughSockets(numRuns: number, chunkSeed: number) {
  const watched = watchedQueue(memoryQueue())
  const { queue, stored, taken, state } = watched
  const storage = memoryStorage()
  const grants = [{ tables: ['main.*.*'], actions: ['write' as const] }]
  const server = await startPushServer({
    storage,
    state: memoryState(),
    queue,
    clock: systemClock,
    random: systemRandom,
    authenticate: createAuthenticator({ tokens: [{ name: 'w', token: 'secret', grants, quota: {} }] }),
    tables: [clicks],
    port: 0,
    limits: fuzzLimits,
    events: {
      failed: (error) => {
        throw error
      },
    },
  })
  const session = fc.asyncProperty(conversations, async (one) => {
    state.refuse = one.refuse
    noteEnd('socket', await overSocket(server.port, one, new Judge(stored)))
  })
  const posted = fc.asyncProperty(httpRequests, async (one) => {
    state.refuse = one.refuse
    taken.length = 0
    noteEnd('http socket', await overHttp(server.port, one, () => taken))
  })
  // First, because what a session that was cut still stores would be taken for a request's.
  await fc.assert(posted, { numRuns: Math.round(numRuns * 0.25), seed: chunkSeed })
  await fc.assert(session, { numRuns: Math.round(numRuns * 0.75), seed: chunkSeed })
  await server.close()
  blame(judgeTable(await rowsOf(storage), watched))
}

/** The conversation, and a `close` after it, so that the server always ends the connection. */
function overSocket(port: number, { messages }: Conversation, judge: Judge): Promise<Outcome> {
  return new Promise((resolve) => {
    const bearer = `bearer.${Buffer.from('secret').toString('base64url')}`
    const socket = new WebSocket(`ws://127.0.0.1:${port}/zerobus/v1/session`, ['lakeflow.zerobus.v1', bearer])
    const late = setTimeout(() => {
      judge.broken.push('the connection was not ended')
      socket.terminate()
    }, 20_000)
    // An open is answered before what follows it is sent, as an honest producer would.
    socket.on('open', () => {
      const [first, ...rest] = [...messages, '{"type":"close"}']
      socket.send(first!)
      socket.on('message', (data) => {
        if (JSON.parse(String(data)).type === 'opened') for (const message of rest.splice(0)) socket.send(message)
      })
      setTimeout(() => {
        for (const message of rest.splice(0)) socket.send(message, () => {})
      }, 10)
    })
    socket.on('message', (data) => judge.hear(String(data)))
    socket.on('error', () => {})
    socket.on('close', (code) => {
      clearTimeout(late)
      resolve({ broken: judge.broken, ended: judge.end(code) })
    })
  })
}

/** Written byte by byte: an HTTP client would mend what is to be broken. */
function overHttp(port: number, sent: HttpRequest, taken: () => Parameters<typeof judgeAnswer>[2]): Promise<Outcome> {
  const body = Buffer.from(sent.body)
  const headers = Object.entries({
    ...sent.headers,
    host: 'x',
    connection: 'close',
    'content-length': `${body.length}`,
  })
  const lines = headers.map(
    ([name, value]) => `${name}: ${name === 'idempotency-key' ? encodeURIComponent(value) : value}`,
  )
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    const chunks: Buffer[] = []
    socket.on('connect', () => {
      socket.write(`${sent.method} ${sent.url} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`)
      socket.write(body)
    })
    socket.on('data', (chunk) => chunks.push(chunk))
    socket.on('error', () => {})
    socket.setTimeout(20_000, () => socket.destroy())
    socket.on('close', () => {
      const text = Buffer.concat(chunks).toString()
      const status = Number(/^HTTP\/1.1 (\d+)/.exec(text)?.[1])
      const json = text.slice(text.indexOf('\r\n\r\n') + 4)
      // The parser of Node refuses what is no HTTP, without a body; chunked bodies carry their length.
      const payload = /\{.*\}/s.exec(json)?.[0]
      const broken =
        payload === undefined
          ? status === 400
            ? []
            : [`no answer to ${sent.method} ${sent.url}: ${text}`]
          : judgeAnswer(sent, { status, text: payload }, taken())
      resolve({ broken, ended: `${status}` })
    })
  })
}

console.log(`seed ${seed}`)
const startedMs = Date.now()
for (let chunk = 0; done < cases; chunk++) {
  const runs = Math.min(CHUNK, cases - done)
  await inProcess(Math.ceil(runs * 0.9), seed + chunk)
  await throughSockets(Math.ceil(runs * 0.1), seed + chunk)
  if (chunk % 10 === 9) console.log(`${done} cases in ${Math.round((Date.now() - startedMs) / 1000)} s`)
}
console.log(Object.fromEntries([...ends].sort(([, a], [, b]) => b - a)))
console.log(`${done} cases in ${Math.round((Date.now() - startedMs) / 1000)} s, nothing broken`)
