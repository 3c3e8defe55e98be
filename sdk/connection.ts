import { toBase64 } from './batch.ts'
import { type Rejection, ZerobusError } from './errors.ts'
import type { Lane, Window } from './lane.ts'
import { type Post, postLane } from './post.ts'

const OPEN_TIMEOUT_MS = 15_000

/** What was left out of the records that a message says are durable. */
export interface LeftOut {
  rejectedRanges?: [number, number][]
  rejected?: Rejection[]
}

export interface Opened extends LeftOut {
  session: string
  durable: number
  committed: number
  schemaVersion?: number
  columns?: readonly Column[]
  window: Window
  limits: { messageBytes: number; recordBytes: number; batchBytes: number }
  encodings: readonly string[]
  binary: boolean
  post?: Post
}

export interface Column {
  name: string
  type: string
  nullable: boolean
}

export type ServerMessage =
  | ({ type: 'opened' } & Opened)
  | ({ type: 'ack'; durable: number; committed: number; window?: Window } & LeftOut)
  | { type: 'schema'; schemaVersion: number; columns: Column[] }
  | { type: 'drain'; inMs: number; reason: string }
  | ({ type: 'pong'; durable?: number; committed?: number } & LeftOut)
  | { type: 'error'; code: string; message: string; retryable: boolean; retryAfterMs?: number }
  | ({ type: 'closed'; durable: number; committed: number } & LeftOut)

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
  readonly lane: Lane
  /** Resolves when the connection has ended, to the reason. */
  readonly ended: Promise<ZerobusError>
  /** A message on an ended connection goes nowhere. */
  send(message: string | Uint8Array<ArrayBuffer>): void
  close(): void
}

/**
 * Opens one connection and its session. Messages after `opened` go to `onMessage`, in order.
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
  socketClass: SocketClass
  /** Take the lane of requests where the server has one. */
  mayPost: boolean
  onMessage(message: ServerMessage): void
  /** A request got no answer: the connection ends, and the next one had better not post. */
  onPostFailed(): void
}): Promise<Connection> {
  return new Promise((resolve, reject) => {
    const protocols = ['lakeflow.zerobus.v1', `bearer.${base64Url(options.token)}`]
    const socket = new options.socketClass(options.url, protocols)
    socket.binaryType = 'arraybuffer'
    const left = new AbortController()
    let opened = false
    let finish: (error: ZerobusError) => void
    const ended = new Promise<ZerobusError>((done) => {
      finish = done
    })
    const timer = setTimeout(() => end(unreachable(`no answer within ${OPEN_TIMEOUT_MS} ms`)), OPEN_TIMEOUT_MS)

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
    socket.onmessage = (event) => receive(event.data)
    socket.onerror = () => {}
    socket.onclose = (event) => end(closeError(event.code))

    function receive(data: unknown) {
      if (left.signal.aborted) return
      const message = parse(data)
      if (!message)
        return end(new ZerobusError('push.frame_invalid', 'what answers there does not speak this protocol'))
      // A server behind a gateway cannot end the connection after its answer, so it is ended here.
      if (message.type === 'error') end(new ZerobusError(message.code, message.message, message))
      else if (message.type === undefined) end(unreachable(`the gateway says: ${message.message}`))
      else if (message.type === 'opened') {
        opened = true
        clearTimeout(timer)
        const send = (data: string | Uint8Array<ArrayBuffer>) => socket.send(data)
        resolve({ opened: message, lane: laneOf(message, send), ended, send, close: () => end(unreachable('left')) })
      } else if (opened) options.onMessage(message)
    }

    function laneOf({ binary, limits, window, post }: Opened, send: Lane['send']): Lane {
      if (!post || !options.mayPost)
        return { binary, messageBytes: limits.messageBytes, window, isPaidByRequest: false, send }
      return postLane(post, {
        token: options.token,
        signal: left.signal,
        received: receive,
        failed(why) {
          options.onPostFailed()
          end(unreachable(why))
        },
      })
    }

    function end(error: ZerobusError) {
      clearTimeout(timer)
      left.abort()
      socket.onclose = socket.onmessage = socket.onopen = null
      socket.close()
      if (opened) finish(error)
      else reject(error)
    }
  })
}

function parse(data: unknown): ServerMessage | GatewayMessage | undefined {
  try {
    const message = JSON.parse(String(data)) as ServerMessage | GatewayMessage
    return typeof message?.type === 'string' || typeof message?.message === 'string' ? message : undefined
  } catch {
    return undefined
  }
}

function closeError(code: number): ZerobusError {
  // Sending the same again would only be refused again.
  if (code === 1009) return new ZerobusError('push.too_large', 'a message was over what the transport takes (1009)')
  return unreachable(`the connection ended (${code})`)
}

const unreachable = (why: string) =>
  new ZerobusError('push.unreachable', `the server could not be reached: ${why}`, { retryable: true })

const base64Url = (text: string) =>
  toBase64(new TextEncoder().encode(text)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
