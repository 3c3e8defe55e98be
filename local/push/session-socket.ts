import type { WebSocket } from 'ws'
import { asIngestError, IngestError } from '../../shared/core/errors.ts'
import { authorize, may, type Principal } from '../../shared/push/auth.ts'
import type { Receipt } from '../../shared/push/batch.ts'
import {
  decodeBinary,
  decodeText,
  encodings,
  errorFrame,
  type IngestFrame,
  type OpenFrame,
  PROTOCOL_VERSION,
  type ReceivedFrame,
  type ServerFrame,
} from '../../shared/push/frames.ts'
import { turns } from '../../shared/push/receive.ts'
import * as machine from '../../shared/push/session.ts'
import { rejectionsOf } from '../../shared/push/stored-rejections.ts'
import { beginSession, noteDurable, resumeSession } from '../../shared/push/stored-sessions.ts'
import { columnsOf, type PushTable } from '../../shared/push/tables.ts'
import { Acks } from './acks.ts'
import type { PushContext } from './context.ts'
import { DurableNote } from './durable-note.ts'
import { keepAlive } from './keep-alive.ts'
import { ReadingGate } from './reading-gate.ts'
import { after, every } from './timers.ts'

const NOTE_DURABLE_MS = 2000

/** One connection and its session: docs/protocol.md. Lives until its socket is closed. */
export class SessionSocket {
  readonly #socket: WebSocket
  readonly #principal: Principal
  readonly #context: PushContext
  #table = ''
  #mayCreate = false
  #session: machine.Session | undefined
  /** Told while the session was being opened. */
  #committedMeanwhile = 0
  readonly #nextTurn = turns()
  #opening = false
  #closing = false
  #goodbye = false
  #draining = false
  readonly #gate: ReadingGate
  readonly #acks: Acks
  #note: DurableNote | undefined
  #schemaTold = 0
  readonly #stops: (() => void)[]

  constructor(socket: WebSocket, principal: Principal, context: PushContext) {
    this.#socket = socket
    this.#principal = principal
    this.#context = context
    this.#acks = new Acks({
      socket,
      window: context.window,
      progress: () => ({ durable: this.durable, committed: this.#session!.committed }),
      send: (ack) => this.#send(ack),
    })
    this.#gate = new ReadingGate(socket, () => this.#mustWait())
    socket.on('message', (data, isBinary) => this.#receive(data as Buffer, isBinary))
    socket.on('error', () => {})
    socket.on('close', () => this.#closed())
    const { maxConnectionAgeMs, drainMs, openMs } = context.settings
    const tokenMs = (principal.expiresAtMs ?? Number.POSITIVE_INFINITY) - context.clock.now()
    this.#stops = [
      keepAlive(socket, () => !this.#gate.isClosed),
      every(NOTE_DURABLE_MS, () => this.#noteDurable()),
      after(openMs, () => this.#expectOpen(openMs)),
      after(maxConnectionAgeMs, () => this.drain('the connection has reached its age limit', drainMs)),
      after(tokenMs - drainMs, () => this.drain('the token expires', drainMs)),
    ]
  }

  get id(): string | undefined {
    return this.#session?.id
  }

  get table(): string {
    return this.#table
  }

  get durable(): number {
    return this.#session ? machine.durableOf(this.#session) : 0
  }

  /** Tells the producer to go on elsewhere; the socket is closed after `inMs` at the latest. */
  drain(reason: string, inMs: number) {
    if (this.#draining || this.#closing) return
    this.#draining = true
    this.#send({ type: 'drain', inMs, reason })
    this.#stops.push(after(inMs, () => this.#close(1001, reason)))
  }

  /** The session goes on elsewhere, or the server refuses to go on. */
  fail(error: IngestError) {
    if (this.#closing) return
    this.#send(errorFrame(error, this.#session?.next))
    const auth = error.code === 'push.unauthenticated' || error.code === 'push.not_permitted'
    this.#close(auth ? 4401 : error.remedy === 'retry' ? 4503 : 4400, error.code)
  }

  noteCommitted(upTo: number) {
    if (!this.#session) {
      this.#committedMeanwhile = Math.max(this.#committedMeanwhile, upTo)
      return
    }
    if (upTo > this.durable) {
      this.#coverEarlier(upTo).catch((error) => this.fail(asIngestError(error)))
      return
    }
    this.#session = machine.noteCommitted(this.#session, upTo)
    this.#acks.schedule()
  }

  /** What an earlier connection stored is committed now: its acks may not have reached the producer. */
  async #coverEarlier(upTo: number) {
    const { id } = this.#session!
    const { rejectedRanges = [], rejected = [] } = await rejectionsOf(id, this.durable, upTo, this.#context)
    this.#acks.reject(upTo, { rejectedRanges, rejected })
    this.#session = machine.noteCommitted(this.#session!, upTo)
    this.#acks.schedule()
  }

  /** The server has caught up: a producer that was told to send less is told. */
  noteWindow() {
    if (this.#session) this.#acks.noteWindow()
  }

  noteSchema(table: PushTable) {
    if (!this.#session || table.newest.version === this.#schemaTold) return
    this.#schemaTold = table.newest.version
    this.#send({ type: 'schema', schemaVersion: table.newest.version, columns: columnsOf(table.newest.schema) })
  }

  #receive(data: Buffer, isBinary: boolean) {
    if (this.#closing) return
    try {
      const received = isBinary ? decodeBinary(data) : decodeText(data.toString('utf8'))
      this.#act(received)
      this.#gate.hold(0)
    } catch (error) {
      this.fail(asIngestError(error))
    }
  }

  #act({ frame, body }: ReceivedFrame) {
    if (frame.type === 'ping') return this.#send({ type: 'pong', ...(frame.id === undefined ? {} : { id: frame.id }) })
    if (frame.type === 'open') {
      this.#open(frame).catch((error) => this.fail(asIngestError(error)))
      return
    }
    if (!this.#session)
      throw new IngestError(
        'push.frame_invalid',
        `the first frame must be open, and ${frame.type} waits for its answer`,
      )
    if (this.#goodbye) throw new IngestError('push.frame_invalid', `got ${frame.type} after close`)
    if (frame.type === 'ingest') return this.#ingest(frame, body!)
    this.#goodbye = true
    this.#finish()
  }

  async #open(frame: OpenFrame) {
    if (this.#opening)
      throw new IngestError('push.frame_invalid', 'a connection has one session; open another connection')
    this.#opening = true
    if (frame.v !== PROTOCOL_VERSION)
      throw new IngestError(
        'push.version_unsupported',
        `got protocol version ${frame.v}, this server speaks ${PROTOCOL_VERSION}; upgrade the older side`,
      )
    if (frame.durable !== undefined && frame.session === undefined)
      throw new IngestError('push.frame_invalid', 'durable: only a session that is resumed has records that are')
    const context = this.#context
    authorize(this.#principal, 'write', frame.table)
    const create = frame.create === true && may(this.#principal, 'create', frame.table)
    const table = await context.openTable(frame.table, { create })
    this.#mayCreate = create && table === undefined
    this.#table = frame.table
    const { subject } = this.#principal
    const resume = (session: string) => resumeSession(frame.table, session, subject, context)
    const { session } = frame
    const found = session === undefined ? await beginSession(frame.table, subject, context) : await resume(session)
    if (this.#closing) return
    const earlier = context.adopt(this, found.id)
    // Commits are told to this socket from here on; of those before, the state knows.
    const stored = session === undefined ? found : await resume(session)
    const durable = Math.max(stored.durable, earlier, frame.durable ?? 0)
    const untold = await rejectionsOf(stored.id, frame.durable ?? 0, durable, context)
    if (this.#closing) return
    this.#session = machine.openSession(stored.id, { durable, committed: stored.committed })
    this.#note = new DurableNote(stored.durable, (upTo) => noteDurable(frame.table, stored.id, upTo, context))
    this.#schemaTold = table?.newest.version ?? 0
    this.#send({
      type: 'opened',
      v: PROTOCOL_VERSION,
      session: stored.id,
      durable: this.durable,
      committed: stored.committed,
      ...untold,
      ...(table && { schemaVersion: table.newest.version, columns: columnsOf(table.newest.schema) }),
      window: this.#acks.firstWindow(),
      limits: context.settings.limits,
      encodings: [...encodings],
      binary: true,
    })
    this.noteCommitted(this.#committedMeanwhile)
  }

  #ingest(frame: IngestFrame, body: Uint8Array) {
    const batch = { offset: frame.offset, count: frame.count, bytes: body.length }
    const owedMs = this.#context.charge(this.#principal, body.length)
    const offered = machine.offer(this.#session!, batch)
    if (offered.kind === 'accepted') this.#session = offered.session
    this.#gate.hold(owedMs)
    if (offered.kind === 'duplicate') return this.#acks.schedule()
    const { session } = offered
    const rows = {
      session: session.id,
      offset: frame.offset,
      count: frame.count,
      encoding: frame.encoding,
      body,
      ...(frame.schemaVersion === undefined ? {} : { schemaVersion: frame.schemaVersion }),
    }
    this.#context
      .receive(this.#table, rows, { turn: this.#nextTurn(), create: this.#mayCreate })
      .then((receipt) => this.#settled(batch, receipt))
      .catch((error) => this.fail(asIngestError(error)))
  }

  #settled(batch: machine.Batch, receipt: Receipt) {
    this.#session = machine.settle(this.#session!, batch)
    this.#acks.reject(batch.offset + batch.count, receipt)
    this.#acks.schedule()
    this.#gate.release()
    if (this.#goodbye) this.#finish()
  }

  #mustWait(): boolean {
    const window = this.#context.window()
    const { inFlightBytes = 0, inFlightRecords = 0 } = this.#session ?? {}
    return (
      window.bytes === 0 || inFlightBytes > window.bytes || inFlightRecords > window.records || this.#acks.areBehind
    )
  }

  #finish() {
    if (!machine.isSettled(this.#session!)) return
    this.#acks.send()
    this.#send({ type: 'closed', durable: this.durable, committed: this.#session!.committed })
    this.#close(1000, 'closed')
  }

  #expectOpen(withinMs: number) {
    if (this.#opening) return
    this.fail(new IngestError('push.frame_invalid', `no open frame came within ${withinMs} ms; send it first`))
  }

  #noteDurable() {
    void this.#note?.renew(this.durable)
  }

  #send(frame: ServerFrame) {
    if (this.#socket.readyState === this.#socket.OPEN) this.#socket.send(JSON.stringify(frame))
  }

  #close(code: number, reason: string) {
    this.#closing = true
    this.#acks.stop()
    this.#gate.leaveOpen()
    this.#socket.close(code, reason.slice(0, 120))
    const timer = setTimeout(() => this.#socket.terminate(), 2000)
    this.#socket.once('close', () => clearTimeout(timer))
  }

  #closed() {
    this.#closing = true
    this.#acks.stop()
    this.#gate.leaveOpen()
    for (const stop of this.#stops) stop()
    this.#noteDurable()
    this.#context.leave(this, this.#principal)
  }
}
