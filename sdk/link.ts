import { type Connection, connect, type Opened, type ServerMessage, type SocketClass } from './connection.ts'
import { asZerobusError, ZerobusError } from './errors.ts'
import type { StreamOptions } from './options.ts'

export interface StreamTarget {
  url: string
  tableName: string
  token: () => Promise<string>
  /** Asking again may give another token. */
  refreshesToken: boolean
  socketClass: SocketClass
}

/** What a stream does at the turns of its link's life. */
export interface LinkEvents {
  /** The session to open, and its first record still held here; asked at every connect. */
  resume(): { session: string | undefined; durable: number }
  /** The server has answered. What it throws ends this connection, and the link unless it is retryable. */
  opened(opened: Opened): Promise<void>
  /** Messages may be sent on this one, until `lost`. */
  ready(connection: Connection): void
  message(message: ServerMessage): void
  lost(): void
  /** A connection ended or was not made; another one is tried. */
  trouble(error: ZerobusError): void
  /** No other connection will be tried. */
  failed(error: ZerobusError): void
}

const PING_MS = 30_000
const TOKEN_MS = 30_000
const MAX_BACKOFF_MS = 30_000

/**
 * One connection after another for the same session: made, watched, and made again with growing pauses. Only a server
 * that acknowledges something makes the pauses short again: one that lets us in and then refuses is not hammered.
 */
export class Link {
  readonly #target: StreamTarget
  readonly #options: StreamOptions
  readonly #events: LinkEvents
  #connection: Connection | undefined
  #draining = false
  /** Requests got no answer on the last connection: a proxy between may let the socket through and not them. */
  #postFailed = false
  #ended = false
  /** Connections tried since the server last did its work. */
  #tries = 0
  #lastHeardMs = 0
  #heartbeat: ReturnType<typeof setInterval> | undefined
  #wake: (() => void) | undefined

  constructor(target: StreamTarget, options: StreamOptions, events: LinkEvents) {
    this.#target = target
    this.#options = options
    this.#events = events
  }

  /** Resolves when the first connection is ready; the link then lives until `hangUp` or `failed`. */
  async start(): Promise<void> {
    const connection = await this.#reconnect(this.#options.recoveryTimeoutMs ?? 15_000)
    if (connection) void this.#stay(connection)
  }

  /** The server acknowledged something. */
  noteProgress() {
    this.#tries = 0
  }

  /** The server asked us to leave: when nothing is in flight the next connection is made. */
  drain() {
    this.#draining = true
  }

  get isDraining(): boolean {
    return this.#draining
  }

  ping() {
    this.#connection?.send('{"type":"ping"}')
  }

  /** Leaves this connection for the next one. */
  leave() {
    this.#connection?.close()
  }

  /** Says goodbye and waits for the answer, but not for long: what is durable is known by now. */
  async hangUp(): Promise<void> {
    const connection = this.#connection
    this.#ended = true
    this.#wake?.()
    clearInterval(this.#heartbeat)
    if (!connection) return
    const timer = setTimeout(() => connection.close(), 2000)
    connection.send('{"type":"close"}')
    await connection.ended
    clearTimeout(timer)
  }

  /** Ends for good, without a word. */
  end() {
    this.#ended = true
    this.#wake?.()
    clearInterval(this.#heartbeat)
    this.#connection?.close()
  }

  async #stay(first: Connection) {
    let connection: Connection | undefined = first
    while (connection) {
      const openedMs = performance.now()
      const error: ZerobusError = await connection.ended
      clearInterval(this.#heartbeat)
      this.#connection = undefined
      this.#events.lost()
      if (this.#ended) return
      const drained = this.#draining
      if (!drained && (this.#options.recovery === false || !error.isRetryable)) return this.#fail(error)
      if (!drained) this.#events.trouble(error)
      if (performance.now() - openedMs > MAX_BACKOFF_MS) this.#tries = 0
      connection = await this.#pause(error.retryAfterMs)
        .then(() => this.#reconnect(this.#options.recoveryTimeoutMs ?? Number.POSITIVE_INFINITY))
        .catch(() => undefined)
    }
  }

  /** Undefined when the link was ended meanwhile. */
  async #reconnect(timeoutMs: number): Promise<Connection | undefined> {
    const deadlineMs = performance.now() + timeoutMs
    for (let refused = 0; !this.#ended; ) {
      try {
        return await this.#connect()
      } catch (cause) {
        const error = asZerobusError(cause)
        if (error.code === 'push.unauthenticated') refused++
        // The token may have ended on its way here: a fresh one is tried once.
        const helps = error.isRetryable || (refused === 1 && this.#target.refreshesToken)
        const pauseMs = Math.max(this.#backoffMs(), error.retryAfterMs ?? 0)
        if (this.#ended) return undefined
        if (this.#options.recovery === false || !helps || performance.now() + pauseMs > deadlineMs) {
          this.#fail(error)
          throw error
        }
        this.#events.trouble(error)
        await this.#pause(pauseMs)
      }
    }
    return undefined
  }

  async #connect(): Promise<Connection | undefined> {
    this.#tries++
    const mayPost = !this.#postFailed
    this.#postFailed = false
    const connection = await connect({
      url: this.#target.url,
      token: await this.#askToken(),
      table: this.#target.tableName,
      ...this.#events.resume(),
      create: this.#options.createTable ?? false,
      socketClass: this.#target.socketClass,
      mayPost,
      onPostFailed: () => {
        this.#postFailed = true
      },
      onMessage: (message) => {
        this.#lastHeardMs = performance.now()
        this.#events.message(message)
      },
    })
    try {
      await this.#events.opened(connection.opened)
    } catch (error) {
      connection.close()
      throw error
    }
    if (this.#ended) {
      connection.close()
      return undefined
    }
    this.#connection = connection
    this.#draining = false
    this.#lastHeardMs = performance.now()
    this.#heartbeat = setInterval(() => this.#beat(connection), Math.min(PING_MS, this.#silenceMs / 2))
    this.#events.ready(connection)
    return connection
  }

  async #askToken(): Promise<string> {
    let timer: ReturnType<typeof setTimeout> | undefined
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`none within ${TOKEN_MS} ms`)), TOKEN_MS)
    })
    try {
      return await Promise.race([this.#target.token(), late])
    } catch (cause) {
      if (cause instanceof ZerobusError) throw cause
      throw new ZerobusError('push.token_unavailable', `no token: ${cause}`, { cause, retryable: true })
    } finally {
      clearTimeout(timer)
    }
  }

  #beat(connection: Connection) {
    if (performance.now() - this.#lastHeardMs > this.#silenceMs) connection.close()
    else connection.send('{"type":"ping"}')
  }

  get #silenceMs() {
    return this.#options.serverLackOfAckTimeoutMs ?? 60_000
  }

  /** Half to all of the backoff, so that producers that lost the same server do not come back together. */
  #backoffMs(): number {
    if (this.#tries === 0) return 0
    const most = Math.min(MAX_BACKOFF_MS, (this.#options.recoveryBackoffMs ?? 200) * 2 ** (this.#tries - 1))
    return most / 2 + (Math.random() * most) / 2
  }

  #pause(ms = 0): Promise<void> {
    const pauseMs = Math.max(ms, this.#backoffMs())
    if (this.#ended || pauseMs === 0) return Promise.resolve()
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, pauseMs)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  #fail(error: ZerobusError) {
    this.end()
    this.#events.failed(error)
  }
}
