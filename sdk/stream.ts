import { type Batch, inBatches } from './batch.ts'
import type { Column, LeftOut, Opened, ServerMessage } from './connection.ts'
import { ZerobusError } from './errors.ts'
import { Intake, type ZerobusRecord } from './intake.ts'
import { Link, type StreamTarget } from './link.ts'
import type { StreamOptions } from './options.ts'
import { Rejections } from './rejections.ts'
import { Sender } from './sender.ts'
import { Waiters } from './waiters.ts'

const COMMIT_POLL_MS = 1000

/** One ordered stream of records into one table: a session of docs/protocol.md. Made by `ZerobusSdk.createStream`. */
export class ZerobusStream {
  readonly tableName: string
  columns: readonly Column[] = []

  readonly #options: StreamOptions
  readonly #link: Link
  readonly #sender: Sender
  readonly #intake: Intake
  readonly #durable = new Waiters()
  readonly #committed = new Waiters()
  readonly #rejections: Rejections
  #session: string | undefined
  #spooledSession: string | undefined
  #started = false
  #failure: ZerobusError | undefined
  #closing: Promise<void> | undefined
  #hungUp = false

  /** Use `ZerobusSdk.createStream`. */
  constructor(target: StreamTarget, options: StreamOptions) {
    this.tableName = target.tableName
    this.#options = options
    this.#session = options.session
    this.#rejections = new Rejections(options.onReject)
    this.#sender = new Sender(options, (error) => this.#fail(error))
    this.#intake = new Intake({
      sender: this.#sender,
      spool: options.spool,
      check: () => this.#check(),
      failed: (error) => this.#fail(error),
    })
    this.#link = new Link(target, options, {
      resume: () => ({ session: this.#session, durable: this.#sender.outbox.first }),
      opened: (opened) => this.#opened(opened),
      ready: (connection) => this.#sender.use(connection),
      message: (message) => this.#receive(message),
      lost: () => this.#sender.use(undefined),
      trouble: (error) => this.#options.onError?.(error),
      failed: (error) => this.#fail(error),
    })
  }

  get options(): StreamOptions {
    return this.#options
  }

  get sessionId(): string | undefined {
    return this.#session
  }

  /** The offset the next record gets: right after `createStream` with `session`, how many are durable already. */
  get nextOffset(): bigint {
    return BigInt(this.#intake.next)
  }

  /** True once the stream has failed or was closed. */
  get isClosed(): boolean {
    return this.#closing !== undefined || this.#failure !== undefined
  }

  /** Connects for the first time; first in line are the records found in the spool, or those of an earlier stream. */
  async start(earlier?: { offset: number; batches: Batch[] }): Promise<void> {
    try {
      await this.#start(earlier)
    } catch (error) {
      await this.#options.spool?.close()
      throw error
    }
  }

  async #start(earlier?: { offset: number; batches: Batch[] }) {
    const { spool } = this.#options
    const { outbox, maxBatchBytes } = this.#sender
    const spooled = await spool?.load()
    if (spooled?.session) {
      this.#session = this.#spooledSession = spooled.session
      outbox.restore(spooled.offset, inBatches(spooled.offset, spooled.records, maxBatchBytes))
    } else if (earlier) {
      for (const batch of earlier.batches) await spool?.append(batch.offset, batch.lines)
      outbox.restore(earlier.offset, earlier.batches)
    }
    await this.#link.start()
    this.#started = true
    this.#intake.next = outbox.next
  }

  /**
   * Queues one record and resolves to its offset; waits while the buffer is full. With a spool it resolves when the record
   * is on disk.
   */
  async ingestRecordOffset(record: ZerobusRecord): Promise<bigint> {
    return (await this.ingestRecordsOffset([record]))!
  }

  /** Queues records in order; resolves to the offset of the last one, or null for none. */
  ingestRecordsOffset(records: readonly ZerobusRecord[]): Promise<bigint | null> {
    return this.#closing ? Promise.reject(closedError()) : this.#intake.take(records)
  }

  /** Queues every record of an iterable; resolves to the offset of the last one, or null for none. */
  async ingest(records: AsyncIterable<ZerobusRecord> | Iterable<ZerobusRecord>): Promise<bigint | null> {
    let last: bigint | null = null
    for await (const record of records) last = await this.ingestRecordOffset(record)
    return last
  }

  /** Resolves when the record and all before it are durable; rejects when the record itself was left out. */
  async waitForOffset(offset: bigint | number): Promise<void> {
    this.#sender.seal()
    await this.#durable.wait(Number(offset))
    this.#rejections.check(Number(offset))
  }

  /** Resolves when the record and all before it can be read from the table. */
  async waitForCommit(offset: bigint | number): Promise<void> {
    this.#sender.seal()
    // A server behind a gateway tells nothing unasked.
    const ask = setInterval(() => this.#link.ping(), COMMIT_POLL_MS)
    try {
      await this.#committed.wait(Number(offset))
    } finally {
      clearInterval(ask)
    }
    this.#rejections.check(Number(offset))
  }

  /** Resolves when every record ingested so far is durable. Other calls go on meanwhile. */
  async flush(): Promise<void> {
    const timeoutMs = this.#options.flushTimeoutMs ?? 300_000
    let timer: ReturnType<typeof setTimeout> | undefined
    const timeout = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(this.#unacknowledged(` within ${timeoutMs} ms`)), timeoutMs)
    })
    try {
      await Promise.race([this.#settle(), timeout])
    } finally {
      clearTimeout(timer)
    }
    this.#rejections.throwUnreported()
  }

  /**
   * Flushes, then ends the connection. Never drops: it resolves when all is durable, or rejects and leaves the rest to
   * `getUnackedRecords` and `recreateStream`. From here on no record is taken.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
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
    return { offset: this.#sender.outbox.next, batches: this.#sender.outbox.unacked() }
  }

  async #settle() {
    await this.#intake.settled()
    this.#sender.seal()
    if (this.#intake.next > 0) await this.#durable.wait(this.#intake.next - 1)
  }

  async #close() {
    try {
      if (this.#failure && this.#intake.next > this.#durable.done)
        throw this.#unacknowledged(`: ${this.#failure.message}`)
      await this.flush()
    } finally {
      this.#hungUp = true
      this.#sender.end()
      await this.#link.hangUp()
      this.#durable.fail(closedError())
      this.#committed.fail(closedError())
      await this.#options.spool?.close()
    }
  }

  async #opened(opened: Opened) {
    const { session, durable, committed, columns, limits } = opened
    const { outbox } = this.#sender
    // A session resumed by its id alone goes on where it stopped.
    if (!this.#started && outbox.unacked().length === 0 && durable > outbox.next) outbox.restore(durable, [])
    if (durable > outbox.next)
      throw new ZerobusError(
        'push.session_taken',
        `the session has ${durable} records, this stream only had ${outbox.next}`,
      )
    if (this.#options.spool && this.#spooledSession !== session) {
      await this.#options.spool.setSession(session)
      this.#spooledSession = session
    }
    this.#session = session
    this.#intake.maxRecordBytes = limits.recordBytes
    this.columns = columns ?? this.columns
    this.#note(opened)
    this.#advance(durable, committed)
  }

  /** Before the records count as durable: whoever waits for them must hear of it. */
  #note({ rejectedRanges, rejected }: LeftOut) {
    if (rejectedRanges) this.#rejections.note(rejectedRanges, rejected ?? [])
  }

  #receive(message: ServerMessage) {
    if ('durable' in message) this.#note(message)
    if (message.type === 'ack' || message.type === 'closed') {
      if (message.type === 'ack' && message.window) this.#sender.resize(message.window)
      this.#advance(message.durable, message.committed)
      if (message.type === 'closed') this.#link.leave()
    } else if (message.type === 'pong') {
      this.#advance(message.durable ?? 0, message.committed ?? 0)
    } else if (message.type === 'schema') {
      this.columns = message.columns
      this.#options.onSchema?.(message.columns)
    } else if (message.type === 'drain') {
      this.#link.drain()
      this.#sender.stop()
      this.#leaveWhenDrained()
    }
  }

  #advance(durable: number, committed: number) {
    this.#sender.acknowledge(durable)
    if (this.#durable.advance(durable)) {
      this.#link.noteProgress()
      this.#options.spool?.trim(durable).catch((cause) => this.#options.onError?.(spoolFailed(cause)))
      this.#options.onAck?.(BigInt(durable - 1))
    }
    if (this.#committed.advance(committed)) this.#options.onCommit?.(BigInt(committed - 1))
    if (this.#link.isDraining) this.#leaveWhenDrained()
  }

  #leaveWhenDrained() {
    if (this.#sender.outbox.inFlight === 0) this.#link.leave()
  }

  #fail(error: ZerobusError) {
    if (this.#failure) return
    this.#failure = error
    this.#link.end()
    this.#sender.end()
    this.#options.onError?.(error)
    this.#durable.fail(error)
    this.#committed.fail(error)
  }

  #check() {
    if (this.#failure) throw this.#failure
    if (this.#hungUp) throw closedError()
  }

  #unacknowledged(why: string) {
    return new ZerobusError(
      'push.unacknowledged',
      `${this.#intake.next - this.#durable.done} records were not acknowledged${why}`,
      { retryable: this.#failure?.isRetryable ?? true, cause: this.#failure },
    )
  }
}

const closedError = () => new ZerobusError('push.stream_closed', 'the stream is closed; create another one')

const spoolFailed = (cause: unknown) =>
  new ZerobusError('push.spool_failed', `the spool could not be trimmed: ${cause}`, { cause, retryable: true })
