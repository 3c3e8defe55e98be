import { asIngestError, IngestError } from '../core/errors.ts'
import { authorize, may, type Principal } from './auth.ts'
import { tableFromBatch } from './first-batch.ts'
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
} from './frames.ts'
import { gatewayConnections, type OpenConnection } from './gateway-connections.ts'
import { gatewayProgress } from './gateway-progress.ts'
import { noteBatch } from './noted-batches.ts'
import { defaultLimits, type PushLimits } from './payload.ts'
import type { Window } from './pressure.ts'
import { type ReceivePorts, receive } from './receive.ts'
import { chargeStored, enterStored } from './stored-quota.ts'
import { beginSession, resumeSession, type SessionPorts } from './stored-sessions.ts'
import { columnsOf, type PushTable, type PushTables } from './tables.ts'

export interface GatewayPorts extends Omit<ReceivePorts, 'tables'>, SessionPorts {
  /** The tables that take events now, and whether sessions may create others. */
  tables(): Promise<{ tables: PushTables; mayCreate: boolean }>
  /** How much of a whole window one session may have in flight now, from 0 to 1. */
  room(): Promise<number>
  /** Below this address each connection has one of its own, where its ingest frames may be posted. */
  postUrl: string
  /** Sends a frame that answers nothing. A connection that is gone is no error. */
  tell(connectionId: string, frame: ServerFrame): Promise<void>
}

/**
 * API Gateway takes messages of 128 KB in frames of 32 KB, and WebSocket clients send each message as one frame. Records are
 * as large as for every server: compressed, more fits a message than its size.
 */
export const gatewayLimits: PushLimits = { ...defaultLimits, messageBytes: 32 << 10 }

/** 16 messages: at a reply time of 50 ms that is 10 MB/s a connection before compression of the messages is counted. */
export const gatewayWindow: Window = { bytes: 512 << 10, records: 200_000 }

/**
 * A frame may also be posted over HTTP: binary, up to what Lambda is handed (6 MB in base64), and one started 512 KB of it
 * costs what 32 KB cost on the socket. That is the lane for bulk (decision 0020).
 */
export const postedMessageBytes = 4 << 20
/** Some 16 batches as the client makes them. */
export const postWindow: Window = { bytes: 8 << 20, records: 2_000_000 }

/** A connection that the gateway holds, as each of its messages brings it. */
export interface GatewayConnection {
  id: string
  principal: Principal
  connectedAtMs: number
}

/** API Gateway cuts after two hours, in the middle of whatever is under way: a producer is asked to leave before. */
const MAX_AGE_MS = 110 * 60_000
const DRAIN_MS = 30_000
/** A quota is enforced by answering late; much later, the reply would cost more than the message. */
const MAX_HOLD_MS = 5000
/**
 * Sessions whose connections are held by a gateway: each message may reach another process, beside other messages of the
 * same session, and its answer goes back as the one reply to it. What processes must agree on is in the state store.
 */
export interface GatewaySessions {
  /** The one frame that answers a producer's frame. An error frame is for the producer to end the connection after. */
  answer(text: string, connection: GatewayConnection): Promise<ServerFrame>
  /** The same for an ingest frame that was posted, by whoever holds the token now. */
  answerPosted(bytes: Uint8Array, posted: Omit<GatewayConnection, 'connectedAtMs'>): Promise<ServerFrame>
}

export function createGatewaySessions(ports: GatewayPorts): GatewaySessions {
  const connections = gatewayConnections(ports)
  const progress = gatewayProgress(ports)

  async function answer({ frame, body }: ReceivedFrame, connection: GatewayConnection): Promise<ServerFrame> {
    checkExpiry(connection.principal)
    if (frame.type === 'open') return open(frame, connection)
    await drainWhenOld(connection)
    const opened = await connections.find(connection.id)
    if (frame.type === 'ping') {
      const id = frame.id === undefined ? {} : { id: frame.id }
      return { type: 'pong', ...id, ...(opened && (await progress.tell(connection.id, opened))) }
    }
    if (!opened)
      throw new IngestError(
        'push.frame_invalid',
        `the first frame must be open, and ${frame.type} waits for its answer`,
      )
    if (frame.type === 'close') return { type: 'closed', ...(await progress.tell(connection.id, opened)) }
    return ingest(frame, body!, opened, { ...connection, whole: gatewayWindow })
  }

  async function answerPosted(
    bytes: Uint8Array,
    { id, principal }: Omit<GatewayConnection, 'connectedAtMs'>,
  ): Promise<ServerFrame> {
    checkExpiry(principal)
    if (bytes.length > postedMessageBytes)
      throw new IngestError('push.too_large', `the frame is over ${postedMessageBytes} bytes; send smaller batches`)
    const { frame, body } = decodeBinary(bytes)
    if (frame.type !== 'ingest')
      throw new IngestError('push.frame_invalid', `only ingest frames are posted; send ${frame.type} on the socket`)
    const opened = await connections.find(id)
    // A connection of somebody else is none.
    if (opened?.subject !== principal.subject)
      throw new IngestError('push.unreachable', 'the connection has ended; connect again and resume')
    authorize(principal, 'write', opened.table)
    return ingest(frame, body!, opened, { id, principal, whole: postWindow })
  }

  function checkExpiry({ expiresAtMs }: Principal) {
    if (expiresAtMs !== undefined && expiresAtMs <= ports.clock.now())
      throw new IngestError('push.unauthenticated', 'the token has expired; connect with a new one')
  }

  /** What is left of a whole window. */
  async function windowOf({ bytes, records }: Window): Promise<Window> {
    const room = await ports.room()
    return { bytes: Math.floor(bytes * room), records: Math.floor(records * room) }
  }

  async function open(frame: OpenFrame, { id, principal }: GatewayConnection): Promise<ServerFrame> {
    if (frame.v !== PROTOCOL_VERSION)
      throw new IngestError(
        'push.version_unsupported',
        `got protocol version ${frame.v}, this server speaks ${PROTOCOL_VERSION}; upgrade the older side`,
      )
    authorize(principal, 'write', frame.table)
    const create = frame.create === true && may(principal, 'create', frame.table)
    const table = await openTable(frame.table, create)
    const { subject } = principal
    const stored =
      frame.session === undefined
        ? await beginSession(frame.table, subject, ports)
        : await resumeSession(frame.table, frame.session, subject, ports)
    const schemaVersion = table?.newest.version ?? 0
    const reached = await progress.resume(frame.table, stored.id, frame.durable ?? 0)
    const opened = { table: frame.table, session: stored.id, subject, create, schemaVersion, from: reached.durable }
    if (!(await connections.open(id, opened)))
      throw new IngestError('push.frame_invalid', 'a connection has one session; open another connection')
    // Known before it is counted, so that its end takes it from the count whatever happens in between.
    await enterStored(principal, id, ports)
    connections.update(id, opened)
    return {
      type: 'opened',
      v: PROTOCOL_VERSION,
      session: stored.id,
      ...reached,
      ...(table && { schemaVersion, columns: columnsOf(table.newest.schema) }),
      window: await windowOf(gatewayWindow),
      limits: ports.limits,
      post: {
        url: `${ports.postUrl}/${encodeURIComponent(id)}/frames`,
        messageBytes: postedMessageBytes,
        window: await windowOf(postWindow),
      },
      encodings: [...encodings],
      binary: false,
    }
  }

  async function ingest(
    frame: IngestFrame,
    body: Uint8Array,
    opened: OpenConnection,
    { id, principal, whole }: { id: string; principal: Principal; whole: Window },
  ): Promise<ServerFrame> {
    const { offset, count, encoding, schemaVersion } = frame
    const holdMs = await chargeStored(principal, body.length, ports)
    const batch = { session: opened.session, offset, count, encoding, body }
    const { tables } = await ports.tables()
    const table =
      (await openTable(opened.table, opened.create)) ??
      (await tableFromBatch(opened.table, batch, opened.create, { tables, limits: ports.limits }))
    const versioned = schemaVersion === undefined ? batch : { ...batch, schemaVersion }
    const receipt = await receive(table, versioned, { ...ports, tables })
    const rejected = receipt.rejectedRanges.length > 0
    await noteBatch(opened.session, { from: offset, to: offset + count, rejected }, ports)
    const newest = (await tables.open(opened.table)) ?? table
    if (newest.newest.version !== opened.schemaVersion) await tellSchema(id, opened, newest)
    if (holdMs > 0) await ports.clock.sleep(Math.min(holdMs, MAX_HOLD_MS))
    const window = holdMs > 0 ? { bytes: 0, records: 0 } : await windowOf(whole)
    return { type: 'ack', ...(await progress.tell(id, opened, offset - postWindow.records)), window }
  }

  /** Each process tells a connection once, so a producer may hear it more than once. */
  async function tellSchema(id: string, opened: OpenConnection, { newest }: PushTable) {
    connections.update(id, { ...opened, schemaVersion: newest.version })
    await ports.tell(id, { type: 'schema', schemaVersion: newest.version, columns: columnsOf(newest.schema) })
  }

  async function drainWhenOld({ id, principal, connectedAtMs }: GatewayConnection) {
    const now = ports.clock.now()
    const isOld = now - connectedAtMs > MAX_AGE_MS
    if (!isOld && (principal.expiresAtMs ?? Number.POSITIVE_INFINITY) - now > DRAIN_MS) return
    const reason = isOld ? 'the connection has reached its age limit' : 'the token expires'
    await ports.tell(id, { type: 'drain', inMs: DRAIN_MS, reason })
  }

  /** @throws IngestError `push.not_permitted` (fix), with the words for a table that is not there and may not be made */
  async function openTable(name: string, create: boolean): Promise<PushTable | undefined> {
    const { tables, mayCreate } = await ports.tables()
    const table = await tables.open(name)
    if (table || (create && mayCreate)) return table
    throw new IngestError(
      'push.not_permitted',
      `this token may not write ${name}, or there is no such table; ask for a token with that right`,
    )
  }

  return {
    answer: (text, connection) => orErrorFrame(async () => answer(decodeText(text), connection)),
    answerPosted: (bytes, posted) => orErrorFrame(() => answerPosted(bytes, posted)),
  }
}

async function orErrorFrame(work: () => Promise<ServerFrame>): Promise<ServerFrame> {
  try {
    return await work()
  } catch (cause) {
    const error = asIngestError(cause)
    if (error.remedy === 'report') throw error
    return errorFrame(error)
  }
}
