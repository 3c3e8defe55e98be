import { EventEmitter } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import type { WebSocket } from 'ws'
import { defaultSettings, type PushContext } from '../../local/push/context.ts'
import { httpDoor } from '../../local/push/http-door.ts'
import { SessionSocket } from '../../local/push/session-socket.ts'
import { systemClock } from '../../shared/core/clock.ts'
import { IngestError } from '../../shared/core/errors.ts'
import { createAuthenticator } from '../../shared/push/auth.ts'
import { bearerOf } from '../../shared/push/bearer.ts'
import { createQuotas } from '../../shared/push/quota.ts'
import { memoryQueue } from '../../shared/queue/memory.ts'
import { memoryState } from '../../shared/state/memory.ts'
import { memoryStorage } from '../../shared/storage/memory.ts'
import { pushProcess, rowsOf } from './push.ts'
import type { Conversation } from './push-conversations.ts'
import { fuzzLimits } from './push-faults.ts'
import { Judge, judgeAnswer, judgeTable } from './push-judge.ts'
import type { HttpRequest } from './push-requests.ts'
import { watchedQueue } from './watched-queue.ts'

/** The far end of a connection, in this process. Only what the session uses of a WebSocket. */
class FarEnd extends EventEmitter {
  readonly OPEN = 1
  readyState = 1
  bufferedAmount = 0
  paused = false
  closedWith: number | undefined
  readonly judge: Judge

  constructor(judge: Judge) {
    super()
    this.judge = judge
  }
  send(text: string) {
    this.judge.hear(text)
  }
  pause() {
    this.paused = true
  }
  resume() {
    this.paused = false
  }
  ping() {}
  close(code: number) {
    this.closedWith ??= code
    this.readyState = 2
    setImmediate(() => this.emit('close', code))
  }
  terminate() {
    this.close(1006)
  }
}

const grants = [{ tables: ['main.*.*'], actions: ['write' as const] }]

/** One server without sockets or threads: sessions, the HTTP door, and the files that batches are written into, over memory. */
export function fuzzWorld() {
  const clock = systemClock
  const watched = watchedQueue(memoryQueue())
  const { stored, taken, state } = watched
  const ports = { storage: memoryStorage(), state: memoryState(), clock, queue: watched.queue }
  const { tables, receive, flushAndCommit } = pushProcess(ports, 1, { through: true, limits: fuzzLimits })
  const quotas = createQuotas(clock)
  let pending = 0
  const context: PushContext = {
    clock,
    state: ports.state,
    settings: { ...defaultSettings, limits: fuzzLimits },
    async openTable(name) {
      const table = await tables.open(name)
      if (table) return table
      throw new IngestError('push.not_permitted', 'no such table')
    },
    adopt: () => 0,
    leave: () => {},
    charge: quotas.charge,
    async receive(name, batch, { turn: place } = {}) {
      pending++
      try {
        return await receive(batch, name, place)
      } finally {
        place?.pass()
        pending--
      }
    },
    window: () => ({ bytes: 4 << 20, records: 200_000 }),
  }
  const authenticate = createAuthenticator({ tokens: [{ name: 'w', token: 'secret', grants, quota: {} }] })
  const door = httpDoor(context, (request) => authenticate(bearerOf(request.headers)))
  return {
    context,
    stored,
    taken,
    state,
    authenticate,
    door,
    isBusy: () => pending > 0,
    /** Commits what was taken, and returns what the table breaks. */
    async finish() {
      await flushAndCommit()
      return judgeTable(await rowsOf(ports.storage), watched)
    },
  }
}

export type FuzzWorld = ReturnType<typeof fuzzWorld>

/** Sends a conversation to a session and returns what it broke, and how it ended. */
export async function converse(conversation: Conversation, world: FuzzWorld) {
  const { messages, refuse } = conversation
  const { context, stored, state, isBusy } = world
  const judge = new Judge(stored)
  const end = new FarEnd(judge)
  state.refuse = refuse
  new SessionSocket(end as unknown as WebSocket, await world.authenticate('secret'), context)
  for (const message of messages) {
    for (let i = 0; i < 1000 && end.paused; i++) await turn()
    if (end.paused) judge.broken.push('not read any more')
    if (end.readyState !== 1) break
    end.emit('message', Buffer.from(message), typeof message !== 'string')
    await turn()
  }
  do await turn()
  while (isBusy())
  await turn()
  const ended = judge.end(end.closedWith)
  if (end.readyState === 1) end.terminate()
  await turn()
  return { broken: judge.broken, ended }
}

/** Sends a request to the HTTP door and returns what it broke, and the status. */
export async function request(sent: HttpRequest, world: FuzzWorld) {
  world.state.refuse = sent.refuse
  world.taken.length = 0
  const { method, url, headers, body } = sent
  const incoming = Object.assign(Readable.from([Buffer.from(body)]), { method, url, headers })
  const answer = await new Promise<{ status: number; text: string }>((resolve) => {
    let status = 0
    const response = {
      writeHead(code: number) {
        status = code
        return response
      },
      end: (text: string) => resolve({ status, text }),
    }
    world.door(incoming as unknown as IncomingMessage, response as unknown as ServerResponse)
  })
  return { broken: judgeAnswer(sent, answer, world.taken), ended: `${answer.status}` }
}
