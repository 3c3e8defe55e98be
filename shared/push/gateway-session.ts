import * as z from 'zod'
import { asIngestError, IngestError } from '../core/errors.ts'
import type { StateStore } from '../state/state-store.ts'
import { authorize, type Principal } from './auth.ts'
import {
  decodeText,
  encodings,
  errorFrame,
  type IngestFrame,
  type OpenFrame,
  PROTOCOL_VERSION,
  type ServerFrame,
} from './frames.ts'
import { noteBatch, type Progress, progressOf } from './noted-batches.ts'
import { defaultLimits, type PushLimits } from './payload.ts'
import { type ReceivePorts, receive } from './receive.ts'
import { beginSession, resumeSession, type SessionPorts } from './stored-sessions.ts'
import { columnsOf, type PushTable, type PushTables } from './tables.ts'

export interface GatewayPorts extends Omit<ReceivePorts, 'tables'>, SessionPorts {
  /** The tables that take events now. */
  tables(): Promise<PushTables>
  /** What one session may have in flight. */
  window: { bytes: number; records: number }
}

/**
 * API Gateway takes messages of 128 KB in frames of 32 KB, and WebSocket clients send each message as one frame. Records are
 * as large as for every server: compressed, more fits a message than its size.
 */
export const gatewayLimits: PushLimits = { ...defaultLimits, messageBytes: 32 << 10 }

/** 16 messages: at a reply time of 50 ms that is 10 MB/s a connection before compression of the messages is counted. */
export const gatewayWindow = { bytes: 512 << 10, records: 200_000 }

/** A connection that the gateway holds, as each of its messages brings it. */
export interface GatewayConnection {
  id: string
  principal: Principal
}

const connectionEntry = z.object({ table: z.string(), session: z.string() })
type OpenConnection = z.infer<typeof connectionEntry>

/** A connection lives two hours at most. */
const CONNECTION_TTL_MS = 3 * 3600_000
/** Of each kind, remembered by one process. */
const MAX_REMEMBERED = 10_000

/**
 * Sessions whose connections are held by a gateway: each message may reach another process, beside other messages of the
 * same session, and its answer goes back as the one reply to it. What processes must agree on is in the state store.
 */
export interface GatewaySessions {
  /** The one frame that answers a producer's frame. An error frame is for the producer to end the connection after. */
  answer(text: string, connection: GatewayConnection): Promise<ServerFrame>
}

export function createGatewaySessions(ports: GatewayPorts): GatewaySessions {
  const { state } = ports
  const connections = new Map<string, OpenConnection>()
  /** What is known to be committed, by session. */
  const committed = new Map<string, number>()

  async function answer(text: string, connection: GatewayConnection): Promise<ServerFrame> {
    const { frame, body } = decodeText(text)
    if (frame.type === 'open') return open(frame, connection)
    const opened = await connectionOf(connection.id)
    if (frame.type === 'ping') {
      const id = frame.id === undefined ? {} : { id: frame.id }
      return { type: 'pong', ...id, ...(opened && (await progress(opened))) }
    }
    if (!opened)
      throw new IngestError(
        'push.frame_invalid',
        `the first frame must be open, and ${frame.type} waits for its answer`,
      )
    if (frame.type === 'close') return { type: 'closed', ...(await progress(opened)) }
    return ingest(frame, body!, opened)
  }

  async function open(frame: OpenFrame, { id, principal }: GatewayConnection): Promise<ServerFrame> {
    if (frame.v !== PROTOCOL_VERSION)
      throw new IngestError(
        'push.version_unsupported',
        `got protocol version ${frame.v}, this server speaks ${PROTOCOL_VERSION}; upgrade the older side`,
      )
    authorize(principal, 'write', frame.table)
    const table = await openTable(frame.table)
    const { subject } = principal
    const stored =
      frame.session === undefined
        ? await beginSession(frame.table, subject, ports)
        : await resumeSession(frame.table, frame.session, subject, ports)
    const opened = { table: frame.table, session: stored.id }
    const known = await progress(opened)
    const durable = Math.max(known.durable, frame.durable ?? 0)
    // Acknowledged by a server that noted it elsewhere: from here on it counts as noted here.
    if (durable > known.durable) await noteBatch(stored.id, known.durable, durable, ports)
    const expiresAtMs = ports.clock.now() + CONNECTION_TTL_MS
    const written = await state.write([{ ...connectionKey(id), value: opened, expect: 'absent', expiresAtMs }])
    if (!written) throw new IngestError('push.frame_invalid', 'a connection has one session; open another connection')
    remember(connections, id, opened)
    return {
      type: 'opened',
      v: PROTOCOL_VERSION,
      session: stored.id,
      durable,
      committed: known.committed,
      schemaVersion: table.newest.version,
      columns: columnsOf(table.newest.schema),
      window: ports.window,
      limits: ports.limits,
      encodings: [...encodings],
      binary: false,
    }
  }

  async function ingest(frame: IngestFrame, body: Uint8Array, opened: OpenConnection): Promise<ServerFrame> {
    const { offset, count, encoding, schemaVersion } = frame
    const table = await openTable(opened.table)
    const batch = { session: opened.session, offset, count, encoding, body }
    const versioned = schemaVersion === undefined ? batch : { ...batch, schemaVersion }
    const receipt = await receive(table, versioned, { ...ports, tables: await ports.tables() })
    await noteBatch(opened.session, offset, offset + count, ports)
    const rejected = receipt.rejectedRanges.length > 0 && {
      rejectedRanges: receipt.rejectedRanges.map(([from, to]): [number, number] => [from, to]),
      rejected: [...receipt.rejected],
    }
    return { type: 'ack', ...(await progress(opened)), ...rejected }
  }

  async function openTable(name: string): Promise<PushTable> {
    const table = await (await ports.tables()).open(name)
    if (table) return table
    throw new IngestError(
      'push.not_permitted',
      `this token may not write ${name}, or there is no such table; ask for a token with that right`,
    )
  }

  async function connectionOf(id: string): Promise<OpenConnection | undefined> {
    const known = connections.get(id)
    if (known) return known
    const entry = await state.read(connectionKey(id))
    const opened = entry && connectionEntry.parse(entry.value)
    if (opened) remember(connections, id, opened)
    return opened
  }

  async function progress({ table, session }: OpenConnection): Promise<Progress> {
    const now = await progressOf(table, session, state, committed.get(session))
    remember(committed, session, now.committed)
    return now
  }

  return {
    async answer(text, connection) {
      try {
        return await answer(text, connection)
      } catch (cause) {
        const error = asIngestError(cause)
        if (error.remedy === 'report') throw error
        return errorFrame(error)
      }
    },
  }
}

/** Forgets a connection that has ended. */
export async function removeConnection(id: string, state: StateStore): Promise<void> {
  await state.write([{ ...connectionKey(id), remove: true, expect: 'any' }])
}

const connectionKey = (id: string) => ({ partition: `push-connection/${id}`, sort: 'session' })

/** The oldest are forgotten first; they are in the state store. */
function remember<T>(known: Map<string, T>, key: string, value: T) {
  known.delete(key)
  known.set(key, value)
  if (known.size > MAX_REMEMBERED) known.delete(known.keys().next().value!)
}
