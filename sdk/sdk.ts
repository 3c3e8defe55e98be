import type { SocketClass } from './connection.ts'
import { ZerobusError } from './errors.ts'
import type { StreamOptions } from './options.ts'
import { ZerobusStream } from './stream.ts'

export interface SdkOptions {
  /** The bearer token, or a function that is asked for one at every connect and reconnect. */
  token: string | (() => string | Promise<string>)
  /** The WebSocket class where the platform has no global one (Node before 22). */
  webSocket?: SocketClass
}

export interface TableProperties {
  /** `catalog.schema.table` */
  tableName: string
}

/**
 *     const sdk = new ZerobusSdk('http://127.0.0.1:8480', { token })
 *     const stream = await sdk.createStream({ tableName: 'main.events.clicks' })
 *     await stream.ingestRecordOffset({ id: 1 })
 *     await stream.close()
 */
export class ZerobusSdk {
  readonly #url: string
  readonly #token: () => Promise<string>
  readonly #refreshesToken: boolean
  readonly #socketClass: SocketClass

  /** `endpoint`: `https://host` or `wss://host`, with a path when the server has one. */
  constructor(endpoint: string, options: SdkOptions) {
    const url = new URL(endpoint.replace(/^http/, 'ws'))
    if (url.pathname === '/') url.pathname = '/zerobus/v1/session'
    this.#url = url.href
    const { token } = options
    this.#refreshesToken = typeof token === 'function'
    this.#token = async () => (typeof token === 'string' ? token : token())
    const socketClass = options.webSocket ?? (globalThis as { WebSocket?: unknown }).WebSocket
    if (!socketClass) throw new ZerobusError('usage.invalid', 'this platform has no WebSocket; pass one as `webSocket`')
    this.#socketClass = socketClass as SocketClass
  }

  /**
   * Opens a stream into one table, connected when it resolves.
   *
   * @throws ZerobusError: `isRetryable` false for a wrong token or table, true when the server could not be reached
   */
  async createStream(table: TableProperties, options: StreamOptions = {}): Promise<ZerobusStream> {
    const stream = new ZerobusStream(this.#target(table.tableName), options)
    await stream.start()
    return stream
  }

  /**
   * A new stream that goes on where a failed or closed one stopped: the same session, its unacknowledged records first. What
   * the server already holds is not stored twice. When the session is gone its records go to a new one. `changes` to the
   * options of the old one.
   */
  async recreateStream(old: ZerobusStream, changes: StreamOptions = {}): Promise<ZerobusStream> {
    const { session: _, ...options } = { ...old.options, ...changes }
    const session = old.sessionId
    const remains = old.remains()
    const stream = new ZerobusStream(this.#target(old.tableName), session ? { ...options, session } : options)
    try {
      await stream.start(remains)
      return stream
    } catch (error) {
      if ((error as ZerobusError).code !== 'push.session_unknown') throw error
      const fresh = await this.createStream({ tableName: old.tableName }, options)
      for (const batch of remains.batches) await fresh.ingestRecordsOffset(batch.lines)
      return fresh
    }
  }

  #target(tableName: string) {
    return {
      url: this.#url,
      tableName,
      token: this.#token,
      refreshesToken: this.#refreshesToken,
      socketClass: this.#socketClass,
    }
  }
}
