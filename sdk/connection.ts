import { toBase64 } from './batch.ts'
import { type Rejection, ZerobusError } from './errors.ts'

export interface Opened {
  session: string
  durable: number
  committed: number
  schemaVersion?: number
  columns?: readonly Column[]
  window: { bytes: number; records: number }
  limits: { messageBytes: number; recordBytes: number; batchBytes: number }
  encodings: readonly string[]
  binary: boolean
}

export interface Column {
  name: string
  type: string
  nullable: boolean
}

export type ServerMessage =
  | ({ type: 'opened' } & Opened)
  | {
      type: 'ack'
      durable: number
      committed: number
      rejectedRanges?: [number, number][]
      rejected?: Rejection[]
      window?: { bytes: number; records: number }
    }
  | { type: 'schema'; schemaVersion: number; columns: Column[] }
  | { type: 'drain'; inMs: number; reason: string }
  | { type: 'pong'; durable?: number; committed?: number }
  | { type: 'error'; code: string; message: string; retryable: boolean; retryAfterMs?: number }
  | { type: 'closed'; durable: number; committed: number }

/** What API Gateway answers when the function behind it failed or took too long: `{"message": "Internal server error", ...}`. */
interface GatewayMessage {
  type?: undefined
  message: string
}

/** The part of the standard WebSocket this client uses. */
export interface Socket {
  binaryType: string
  onopen: (() => void) | null
  onmessage: ((event: { data: unknown }) => void) | null
  onerror: (() => void) | null
  onclose: ((event: { code: number; reason: string }) => void) | null
  send(data: string | Uint8Array<ArrayBuffer>): void
  close(code?: number): void
}
export type SocketClass = new (url: string, protocols: string[]) => Socket

export interface Connection {
  readonly opened: Opened
  send(message: string | Uint8Array<ArrayBuffer>): void
  close(): void
}

/**
 * Opens one connection and its session. Messages after `opened` go to `onMessage`, in order; `onClosed` is called once
 * when the connection ends for whatever reason.
 *
 * @throws ZerobusError
 */
export function connect(options: {
  url: string
  token: string
  table: string
  session: string | undefined
  /** The first record still held here. */
  durable: number
  create: boolean
  timeoutMs: number
  socketClass: SocketClass
  onMessage(message: ServerMessage): void
  onClosed(error: ZerobusError): void
}): Promise<Connection> {
  return new Promise((resolve, reject) => {
    const protocols = ['lakeflow.zerobus.v1', `bearer.${base64Url(options.token)}`]
    const socket = new options.socketClass(options.url, protocols)
    socket.binaryType = 'arraybuffer'
    let opened = false
    const timer = setTimeout(() => end(unreachable(`no answer within ${options.timeoutMs} ms`)), options.timeoutMs)

    socket.onopen = () =>
      socket.send(
        JSON.stringify({
          type: 'open',
          v: 1,
          table: options.table,
          ...(options.session ? { session: options.session, durable: options.durable } : {}),
          ...(options.create ? { create: true } : {}),
        }),
      )
    socket.onmessage = (event) => {
      const message = JSON.parse(String(event.data)) as ServerMessage | GatewayMessage
      // A server behind a gateway cannot end the connection after its answer, so it is ended here.
      if (message.type === 'error') end(new ZerobusError(message.code, message.message, message))
      else if (message.type === undefined) end(unreachable(`the gateway says: ${message.message}`))
      else if (message.type === 'opened') {
        opened = true
        clearTimeout(timer)
        resolve({ opened: message, send: (data) => socket.send(data), close: () => end(unreachable('closed here')) })
      } else if (opened) options.onMessage(message)
    }
    socket.onerror = () => {}
    socket.onclose = (event) => end(unreachable(`the connection ended (${event.code})`))

    function end(error: ZerobusError) {
      clearTimeout(timer)
      socket.onclose = socket.onmessage = socket.onopen = null
      socket.close()
      if (opened) options.onClosed(error)
      else reject(error)
    }
  })
}

const unreachable = (why: string) =>
  new ZerobusError('push.unreachable', `the server could not be reached: ${why}`, { retryable: true })

const base64Url = (text: string) =>
  toBase64(new TextEncoder().encode(text)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
