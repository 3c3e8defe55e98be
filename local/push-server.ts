import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { availableParallelism } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { type WebSocket, WebSocketServer } from 'ws'
import type { Clock } from '../shared/core/clock.ts'
import { asIngestError, IngestError } from '../shared/core/errors.ts'
import type { Random } from '../shared/core/random.ts'
import type { Authenticate, Principal } from '../shared/push/auth.ts'
import { bearerOf, SUBPROTOCOL } from '../shared/push/bearer.ts'
import { tableFromBatch } from '../shared/push/first-batch.ts'
import { defaultFlushLimits, type FlushLimits, VISIBILITY_MS } from '../shared/push/flush.ts'
import { errorFrame } from '../shared/push/frames.ts'
import { defaultLimits, type PushLimits } from '../shared/push/payload.ts'
import { createQuotas } from '../shared/push/quota.ts'
import { type ReceivePorts, receive } from '../shared/push/receive.ts'
import { createPushTables, type DeclaredTable } from '../shared/push/tables.ts'
import type { Queue } from '../shared/queue/queue.ts'
import type { StateStore } from '../shared/state/state-store.ts'
import type { Storage } from '../shared/storage/storage.ts'
import { createBacklog } from './push/backlog.ts'
import { defaultSettings, type PushContext, type ServerSettings } from './push/context.ts'
import { type EngineEvents, startPushEngine } from './push/engine.ts'
import { httpDoor } from './push/http-door.ts'
import { SessionSocket } from './push/session-socket.ts'
import { startWorkers } from './push/workers.ts'

export interface PushServerOptions {
  storage: Storage
  state: StateStore
  /** Closed with the server. */
  queue: Queue
  clock: Clock
  random: Random
  authenticate: Authenticate
  tables: readonly DeclaredTable[]
  /** Sessions may create tables that are not declared, where their token may. Default false. */
  createTables?: boolean
  /** Default 127.0.0.1. */
  host?: string
  /** 0 takes a free one. */
  port: number
  limits?: Partial<PushLimits>
  settings?: Partial<ServerSettings>
  flush?: Partial<FlushLimits>
  events?: Partial<EngineEvents>
}

export interface PushServer {
  /** `http://host:port` */
  url: string
  port: number
  sessions(): number
  /** Drains the producers, stores and commits everything acknowledged, then stops. */
  close(): Promise<void>
}

const SCHEMA_POLL_MS = 1000

/**
 * The push door of one machine: a WebSocket and an HTTP endpoint over a durable queue, and the loop that turns the queue
 * into table versions.
 *
 * @throws IngestError `local.port_in_use` (fix)
 */
export async function startPushServer(options: PushServerOptions): Promise<PushServer> {
  const limits = { ...defaultLimits, ...options.limits }
  const settings: ServerSettings = { ...defaultSettings, limits, ...options.settings }
  const { storage, state, queue, clock, random } = options
  const tables = createPushTables(options.tables, options)
  const lanes = availableParallelism()
  const workers = startWorkers(storage, lanes)
  const quotas = createQuotas(clock)
  const live = new Map<string, SessionSocket>()
  const sockets = new Set<SessionSocket>()
  const backlog = createBacklog(queue, settings, () => workers.bufferedBytes())

  const engine = startPushEngine(
    `${process.pid}-${random.uuid()}`,
    { storage, state, queue, clock, random, tables, openFile: workers.openFile },
    { ...defaultFlushLimits, lanes, batchBytes: limits.batchBytes, ...options.flush },
    {
      committed(event) {
        void backlog.recount().then(() => sockets.forEach((socket) => void socket.noteWindow()))
        for (const [session, upTo] of event.sessions) live.get(session)?.noteCommitted(upTo)
        options.events?.committed?.(event)
      },
      failed: (error) => options.events?.failed?.(error),
    },
  )

  const receivePorts: ReceivePorts = {
    queue,
    tables,
    validate: workers.validate,
    state,
    clock,
    limits,
    ...(queue.sendTaken && {
      through: { write: engine.write, send: (records) => queue.sendTaken!(records, VISIBILITY_MS) },
    }),
  }

  const context: PushContext = {
    clock,
    state,
    settings,
    async openTable(name, { create }) {
      const table = await tables.open(name)
      if (table || (create && options.createTables)) return table
      throw new IngestError(
        'push.not_permitted',
        `this token may not write ${name}, or there is no such table; ask for a token with that right`,
      )
    },
    adopt(socket, session) {
      const earlier = live.get(session)
      live.set(session, socket)
      if (!earlier) return 0
      earlier.fail(
        new IngestError('push.session_taken', 'the session was resumed on another connection; this one ends'),
      )
      return earlier.durable
    },
    leave(socket, principal) {
      sockets.delete(socket)
      quotas.leave(principal)
      if (socket.id && live.get(socket.id) === socket) live.delete(socket.id)
    },
    charge: (principal, bytes) => quotas.charge(principal, bytes),
    async receive(name, batch, { turn, create = false } = {}) {
      try {
        return await backlog.during({ session: batch.session, bytes: batch.body.length }, async () => {
          const table = (await tables.open(name)) ?? (await tableFromBatch(name, batch, create, { tables, limits }))
          const receipt = await receive(table, batch, receivePorts, turn)
          if (receipt.schemaVersion > table.newest.version) tellSchema(name).catch(failed)
          return receipt
        })
      } finally {
        turn?.pass()
      }
    },
    window: () => backlog.window(),
  }

  const door = httpDoor(context, (request) => options.authenticate(bearerOf(request.headers)))
  const server = createServer(door)
  const acceptor = new WebSocketServer({
    noServer: true,
    maxPayload: limits.messageBytes,
    perMessageDeflate: false,
    handleProtocols: (offered) => (offered.has(SUBPROTOCOL) ? SUBPROTOCOL : false),
  })

  server.on('upgrade', (request, socket, head) => {
    socket.on('error', () => {})
    const upgrade = (taken: (ws: WebSocket) => void) => acceptor.handleUpgrade(request, socket, head, taken)
    options.authenticate(bearerOf(request.headers)).then(
      (principal) => upgrade((ws) => admit(ws, principal)),
      (cause) => {
        const error = asIngestError(cause)
        // A browser cannot see the status of a refused upgrade, so the reason is told on a socket that takes no frames.
        if (offers(request)) return upgrade((ws) => turnAway(ws, error))
        const status = error.remedy === 'retry' ? '503 Service Unavailable' : '401 Unauthorized'
        socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
      },
    )
  })

  /** Counted only here: a handshake that fails has no end that would give its place back. */
  function admit(ws: WebSocket, principal: Principal) {
    try {
      quotas.enter(principal)
    } catch (error) {
      return turnAway(ws, asIngestError(error))
    }
    sockets.add(new SessionSocket(ws, principal, context))
  }

  const polls = setInterval(() => void poll(), SCHEMA_POLL_MS)
  async function poll() {
    try {
      await backlog.recount()
      for (const name of new Set([...live.values()].map((socket) => socket.table))) await tellSchema(name)
    } catch (error) {
      failed(error)
    }
  }

  async function tellSchema(name: string) {
    const table = await tables.open(name)
    if (table) for (const socket of live.values()) if (socket.table === name) socket.noteSchema(table)
  }

  function failed(error: unknown) {
    options.events?.failed?.(asIngestError(error))
  }

  await backlog.recount()
  await listen(server, options.port, options.host ?? '127.0.0.1')
  const { port } = server.address() as AddressInfo

  return {
    url: `http://${options.host ?? '127.0.0.1'}:${port}`,
    port,
    sessions: () => live.size,
    async close() {
      clearInterval(polls)
      const closed = new Promise((resolve) => server.close(resolve))
      for (const socket of sockets) socket.drain('the server is closing', settings.drainMs)
      const deadlineMs = performance.now() + settings.drainMs + 3000
      while (sockets.size > 0 && performance.now() < deadlineMs) await sleep(10)
      server.closeAllConnections()
      await closed
      await engine.stop()
      await workers.close()
      await queue.close()
    },
  }
}

/** Tells the reason and closes. */
function turnAway(ws: WebSocket, error: IngestError) {
  ws.on('error', () => {})
  ws.send(JSON.stringify(errorFrame(error)))
  ws.close(error.remedy === 'retry' ? 4503 : 4401, error.code)
  setTimeout(() => ws.terminate(), 2000).unref()
}

const offers = (request: IncomingMessage) =>
  String(request.headers['sec-websocket-protocol'] ?? '')
    .split(/\s*,\s*/)
    .includes(SUBPROTOCOL)

function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) =>
      reject(
        cause.code === 'EADDRINUSE'
          ? new IngestError(
              'local.port_in_use',
              `port ${port} is taken; choose another one: push.port in lakeflow.yml, or --push-port of npm start`,
              { cause },
            )
          : cause,
      ),
    )
    server.listen(port, host, () => resolve())
  })
}
