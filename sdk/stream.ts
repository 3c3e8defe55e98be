import { type Batch, type Compression, encodeMessage, encodeRows, inBatches } from './batch.ts'
import { type Column, type Connection, connect, type ServerMessage, type SocketClass } from './connection.ts'
import { ZerobusError } from './errors.ts'
import type { StreamOptions } from './options.ts'
import { Outbox } from './outbox.ts'
import { Rejections } from './rejections.ts'
import { Waiters } from './waiters.ts'

export interface StreamTarget {
  url: string
  tableName: string
  token: () => Promise<string>
  socketClass: SocketClass
}

const PING_MS = 30_000
const COMMIT_POLL_MS = 1000
const MAX_BACKOFF_MS = 30_000
const OPEN_TIMEOUT_MS = 15_000

/** One ordered stream of records into one table: a session of docs/protocol.md. Made by `ZerobusSdk.createStream`. */
export class ZerobusStream {
  readonly tableName: string
  columns: readonly Column[] = []

  readonly #target: StreamTarget
  readonly #options: StreamOptions
  readonly #outbox = new Outbox()
  /** The offset of the next record; ahead of the outbox while records are being spooled. */
  #next = 0
  #spooled: Promise<void> | undefined
  readonly #durable = new Waiters()
  readonly #committed = new Waiters()
  readonly #rejections: Rejections
  #roomWaiters: (() => void)[] = []

  #session: string | undefined
  #connection: Connection | undefined
  #window = { bytes: 0, records: 0 }
  #fittingBatchBytes = Number.POSITIVE_INFINITY
  #failure: ZerobusError | undefined
  #closed = false
  #draining = false
  #pumping = false
  #lingerTimer: ReturnType<typeof setTimeout> | undefined
  #heartbeat: ReturnType<typeof setInterval> | undefined
  #lastHeardMs = 0
  #goodbye: (() => void) | undefined

  /** Use `ZerobusSdk.createStream`. */
  constructor(target: StreamTarget, options: StreamOptions) {
    this.tableName = target.tableName
    this.#target = target
    this.#options = options
    this.#session = options.session
    this.#rejections = new Rejections(options.onReject)
  }

  get sessionId(): string | undefined {
    return this.#session
  }

  /** True once the stream has failed or was closed. */
  get isClosed(): boolean {
    return this.#closed || this.#failure !== undefined
  }

  /** Connects for the first time; first in line are records of an earlier stream, given here or found in the spool. */
  async start(earlier?: { offset: number; batches: Batch[] }): Promise<void> {
    if (earlier) this.#outbox.restore(earlier.offset, earlier.batches)
    const spooled = await this.#options.spool?.load()
    if (spooled) {
      this.#session = spooled.session ?? this.#session
      this.#outbox.restore(spooled.offset, inBatches(spooled.offset, spooled.records, this.#maxBatchBytes))
    }
    this.#next = this.#outbox.next
    await this.#reconnect(this.#options.recoveryTimeoutMs ?? 15_000)
    this.#next = this.#outbox.next
  }

  /**
   * Queues one record, a JSON text or an object, and resolves to its offset; waits while the buffer is full. With a spool
   * it resolves when the record is on disk.
   */
  async ingestRecordOffset(record: string | object): Promise<bigint> {
    return (await this.ingestRecordsOffset([record]))!
  }

  /** Queues records in order; resolves to the offset of the last one, or null for none. */
  async ingestRecordsOffset(records: readonly (string | object)[]): Promise<bigint | null> {
    this.#check()
    const lines = records.map((record) => toLine(record, this.#connection?.opened.limits.recordBytes))
    while (this.#outbox.size > (this.#options.maxBufferedBytes ?? 32 << 20)) {
      this.#seal()
      await new Promise<void>((resolve) => this.#roomWaiters.push(resolve))
      this.#check()
    }
    if (lines.length === 0) return null
    const offset = this.#next
    this.#next += lines.length
    if (this.#options.spool) {
      // On disk before on the wire: after a crash the spool must know of every record the server may have.
      this.#spooled = this.#spool(offset, lines)
      await this.#spooled
    }
    for (const line of lines) this.#add(line)
    return BigInt(offset + lines.length - 1)
  }

  /** Queues every record of an iterable; resolves to the offset of the last one, or null for none. */
  async ingest(records: AsyncIterable<string | object> | Iterable<string | object>): Promise<bigint | null> {
    let last: bigint | null = null
    for await (const record of records) last = await this.ingestRecordOffset(record)
    return last
  }

  /** Resolves when the record and all before it are durable; rejects when the record itself was left out. */
  async waitForOffset(offset: bigint | number): Promise<void> {
    this.#seal()
    await this.#durable.wait(Number(offset))
    this.#rejections.check(Number(offset))
  }

  /** Resolves when the record and all before it can be read from the table. */
  async waitForCommit(offset: bigint | number): Promise<void> {
    this.#seal()
    // A server behind a gateway tells nothing unasked.
    const ask = setInterval(() => this.#connection?.send('{"type":"ping"}'), COMMIT_POLL_MS)
    try {
      await this.#committed.wait(Number(offset))
    } finally {
      clearInterval(ask)
    }
    this.#rejections.check(Number(offset))
  }

  /** Resolves when every record ingested so far is durable. Other calls go on meanwhile. */
  async flush(): Promise<void> {
    await this.#spooled?.catch(() => {})
    this.#seal()
    const timeoutMs = this.#options.flushTimeoutMs ?? 300_000
    let timer: ReturnType<typeof setTimeout> | undefined
    const timeout = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(this.#unacknowledged(`within ${timeoutMs} ms`)), timeoutMs)
    })
    try {
      await Promise.race([this.#durable.wait(this.#next - 1), timeout])
    } finally {
      clearTimeout(timer)
    }
    this.#rejections.throwUnreported()
  }

  /**
   * Flushes, then ends the connection. Never drops: it resolves when all is durable, or rejects and leaves the rest to
   * `getUnackedRecords` and `recreateStream`.
   */
  async close(): Promise<void> {
    if (this.#closed) return
    try {
      if (!this.#failure) await this.flush()
      else if (this.#next > this.#durable.done) throw this.#unacknowledged(`: ${this.#failure.message}`)
    } finally {
      this.#closed = true
      await this.#hangUp()
      await this.#options.spool?.close()
    }
  }

  /** Records not known to be durable, oldest first, as UTF-8 JSON. Works after `close` and after a failure. */
  async getUnackedRecords(): Promise<Uint8Array[]> {
    return (await this.getUnackedBatches()).flat()
  }

  async getUnackedBatches(): Promise<Uint8Array[][]> {
    const encoder = new TextEncoder()
    return this.remains().batches.map((batch) => batch.lines.map((line) => encoder.encode(line)))
  }

  /** What `recreateStream` goes on with. */
  remains(): { offset: number; batches: Batch[] } {
    return { offset: this.#outbox.next, batches: this.#outbox.unacked() }
  }

  async #spool(offset: number, lines: readonly string[]) {
    try {
      await this.#options.spool?.append(offset, lines)
    } catch (cause) {
      // The offset is taken and its records are nowhere: what follows could not be numbered.
      const error = new ZerobusError('push.spool_failed', `the spool could not be written: ${cause}`, { cause })
      this.#fail(error)
      throw error
    }
  }

  get #maxBatchBytes() {
    return Math.min(this.#options.maxBatchBytes ?? 256 << 10, this.#fittingBatchBytes)
  }

  /** Where messages are small (32 KB behind API Gateway), batches become what compresses to almost one of them. */
  #learnBatchSize(size: number, messageBytes: number, limit: number) {
    // Small batches compress worse than what is to be known here.
    if (messageBytes < limit / 4) return
    this.#fittingBatchBytes = Math.max(1024, Math.floor((0.9 * limit * size) / messageBytes))
  }

  #add(line: string) {
    if (this.#outbox.add(line) >= this.#maxBatchBytes) this.#seal()
    else this.#lingerTimer ??= setTimeout(() => this.#seal(), this.#options.lingerMs ?? 20)
  }

  #seal() {
    clearTimeout(this.#lingerTimer)
    this.#lingerTimer = undefined
    if (this.#outbox.seal()) void this.#pump()
  }

  /** Sends what the window allows, in order. One at a time; a lost connection ends it and the next one restarts it. */
  async #pump() {
    if (this.#pumping) return
    this.#pumping = true
    try {
      for (;;) {
        const connection = this.#connection
        const batch = this.#outbox.waiting
        if (!connection || !batch || this.#draining) return
        const { limits, binary } = connection.opened
        const rows = await encodeRows(batch, this.#compressionFor(connection))
        if (this.#connection !== connection || this.#outbox.waiting !== batch) continue
        if (this.#draining || !this.#outbox.fits(batch, this.#window)) return
        const message = encodeMessage(batch, rows, binary)
        const bytes = byteLength(message, limits.messageBytes)
        this.#learnBatchSize(batch.size, bytes, limits.messageBytes)
        if (bytes > limits.messageBytes || batch.size > limits.batchBytes) this.#outbox.split(batch)
        else {
          connection.send(message)
          this.#outbox.markSent()
        }
      }
    } catch (error) {
      this.#fail(
        error instanceof ZerobusError ? error : new ZerobusError('bug.invariant', String(error), { cause: error }),
      )
    } finally {
      this.#pumping = false
    }
  }

  #compressionFor(connection: Connection): Compression {
    const wanted = this.#options.compression ?? 'gzip'
    return connection.opened.encodings.includes(wanted) ? wanted : 'none'
  }

  async #reconnect(timeoutMs: number) {
    const startedMs = Date.now()
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.#connect()
      } catch (cause) {
        const error =
          cause instanceof ZerobusError
            ? cause
            : new ZerobusError('push.token_unavailable', `no token: ${cause}`, { cause, retryable: true })
        const most = Math.min(MAX_BACKOFF_MS, (this.#options.recoveryBackoffMs ?? 200) * 2 ** attempt)
        const waitMs = Math.max(most / 2 + (Math.random() * most) / 2, error.retryAfterMs ?? 0)
        if (this.#closed || !error.isRetryable || Date.now() - startedMs + waitMs > timeoutMs) {
          this.#fail(error)
          throw error
        }
        this.#options.onError?.(error)
        await new Promise((resolve) => setTimeout(resolve, waitMs))
      }
    }
  }

  async #connect() {
    const connection = await connect({
      url: this.#target.url,
      token: await this.#target.token(),
      table: this.tableName,
      session: this.#session,
      durable: this.#outbox.unacked()[0]?.offset ?? this.#outbox.next,
      create: this.#options.createTable ?? false,
      timeoutMs: OPEN_TIMEOUT_MS,
      socketClass: this.#target.socketClass,
      onMessage: (message) => this.#receive(message),
      onClosed: (error) => this.#lost(error),
    })
    const { session, durable, committed, columns, window } = connection.opened
    if (this.#session !== session) await this.#options.spool?.setSession(session)
    if (this.#closed) return connection.close()
    // A session resumed by its id alone goes on where it stopped.
    if (durable > this.#outbox.next && this.#outbox.unacked().length === 0) this.#outbox.restore(durable, [])
    if (durable > this.#outbox.next)
      throw new ZerobusError(
        'push.session_taken',
        `the session has ${durable} records, this stream only had ${this.#outbox.next}`,
      )
    this.#session = session
    this.#connection = connection
    this.#window = window
    this.#draining = false
    this.#outbox.rewind()
    this.#lastHeardMs = Date.now()
    this.#heartbeat = setInterval(() => this.#beat(connection), Math.min(PING_MS, this.#silenceMs / 2))
    this.columns = columns ?? this.columns
    this.#advance(durable, committed)
    void this.#pump()
  }

  #receive(message: ServerMessage) {
    this.#lastHeardMs = Date.now()
    if (message.type === 'ack' || message.type === 'closed') {
      if (message.type === 'ack' && message.rejectedRanges)
        this.#rejections.note(message.rejectedRanges, message.rejected ?? [])
      if (message.type === 'ack' && message.window) this.#window = message.window
      this.#advance(message.durable, message.committed)
      if (message.type === 'closed') this.#goodbye?.()
      void this.#pump()
    } else if (message.type === 'pong') {
      this.#advance(message.durable ?? 0, message.committed ?? 0)
    } else if (message.type === 'schema') {
      this.columns = message.columns
      this.#options.onSchema?.(message.columns)
    } else if (message.type === 'drain') {
      this.#draining = true
      this.#leaveWhenDrained()
    }
  }

  #advance(durable: number, committed: number) {
    this.#outbox.acknowledge(durable)
    if (this.#durable.advance(durable)) {
      this.#options.spool?.trim(durable).catch((cause) => this.#options.onError?.(spoolFailed(cause)))
      this.#options.onAck?.(BigInt(durable - 1))
      for (const resolve of this.#roomWaiters.splice(0)) resolve()
    }
    if (this.#committed.advance(committed)) this.#options.onCommit?.(BigInt(committed - 1))
    if (this.#draining) this.#leaveWhenDrained()
  }

  #leaveWhenDrained() {
    if (this.#outbox.inFlight === 0) this.#connection?.close()
  }

  #lost(error: ZerobusError) {
    clearInterval(this.#heartbeat)
    const drained = this.#draining
    this.#connection = undefined
    this.#outbox.rewind()
    this.#goodbye?.()
    if (this.#closed || this.#failure) return
    if (this.#options.recovery === false || (!error.isRetryable && !drained)) return this.#fail(error)
    if (!drained) this.#options.onError?.(error)
    this.#reconnect(this.#options.recoveryTimeoutMs ?? Number.POSITIVE_INFINITY).catch(() => {})
  }

  #beat(connection: Connection) {
    if (this.#connection !== connection) return
    const silentMs = Date.now() - this.#lastHeardMs
    if (this.#outbox.inFlight > 0 && silentMs > this.#silenceMs) connection.close()
    else connection.send('{"type":"ping"}')
  }

  get #silenceMs() {
    return this.#options.serverLackOfAckTimeoutMs ?? 60_000
  }

  /** Says goodbye and waits for the answer, but not for long: whether all is durable is known by now. */
  async #hangUp() {
    clearTimeout(this.#lingerTimer)
    clearInterval(this.#heartbeat)
    const connection = this.#connection
    if (!connection) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, 2000)
      this.#goodbye = () => {
        clearTimeout(timer)
        resolve()
      }
      connection.send('{"type":"close"}')
    })
    connection.close()
  }

  #fail(error: ZerobusError) {
    if (this.#failure) return
    this.#failure = error
    clearTimeout(this.#lingerTimer)
    this.#connection?.close()
    this.#options.onError?.(error)
    this.#durable.fail(error)
    this.#committed.fail(error)
    for (const resolve of this.#roomWaiters.splice(0)) resolve()
  }

  #check() {
    if (this.#failure) throw this.#failure
    if (this.#closed) throw new ZerobusError('push.stream_closed', 'the stream is closed; create another one')
  }

  #unacknowledged(why: string) {
    return new ZerobusError(
      'push.unacknowledged',
      `${this.#next - this.#durable.done} records were not acknowledged ${why}`,
      { retryable: this.#failure?.isRetryable ?? true, cause: this.#failure },
    )
  }
}

/** Of a message on the wire. A text is only encoded to be measured when it may be over the limit. */
function byteLength(message: string | Uint8Array, limit: number): number {
  if (typeof message !== 'string' || message.length * 3 <= limit) return message.length
  return new TextEncoder().encode(message).length
}

const spoolFailed = (cause: unknown) =>
  new ZerobusError('push.spool_failed', `the spool could not be trimmed: ${cause}`, { cause, retryable: true })

function toLine(record: string | object, maxBytes = Number.POSITIVE_INFINITY): string {
  let line = typeof record === 'string' ? record : JSON.stringify(record)
  // A raw line break cannot stand inside a JSON string, so it is layout and may become a space.
  if (/[\n\r]/.test(line)) line = line.replace(/[\n\r]+/g, ' ')
  if (line.length > maxBytes)
    throw new ZerobusError(
      'push.too_large',
      `a record of ${line.length} characters is over the limit of ${maxBytes} bytes`,
    )
  return line
}
