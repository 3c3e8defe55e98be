import { type Batch, type Compression, encodeMessage, encodeRows } from './batch.ts'
import type { Connection } from './connection.ts'
import { asZerobusError, type ZerobusError } from './errors.ts'
import type { Window } from './lane.ts'
import type { StreamOptions } from './options.ts'
import { Outbox } from './outbox.ts'

/** JSON of a batch, where nothing else is asked for. */
const BATCH_BYTES = 256 << 10
/** Compressed by five, as events are, it is 400 KB: almost the 512 KB that a gateway counts as one request. */
const REQUEST_BATCH_BYTES = 2 << 20

/** Fills batches with records, and sends them in order as far as the server's window allows. */
export class Sender {
  readonly outbox = new Outbox()
  readonly #options: StreamOptions
  readonly #failed: (error: ZerobusError) => void
  #connection: Connection | undefined
  #window: Window = { bytes: 0, records: 0 }
  #fittingBatchBytes = Number.POSITIVE_INFINITY
  #sending = false
  #lingerTimer: ReturnType<typeof setTimeout> | undefined
  /** The batch being filled has lingered long enough, and waits for an answer to save a request. */
  #overdue = false
  #roomWaiters: (() => void)[] = []
  /** Nothing more is sent: whoever waits for room need not. */
  hasEnded = false

  constructor(options: StreamOptions, failed: (error: ZerobusError) => void) {
    this.#options = options
    this.#failed = failed
  }

  get maxBatchBytes(): number {
    const usual = this.#connection?.lane.isPaidByRequest ? REQUEST_BATCH_BYTES : BATCH_BYTES
    return Math.min(this.#options.maxBatchBytes ?? usual, this.#fittingBatchBytes)
  }

  add(lines: readonly string[]) {
    for (const line of lines)
      if (this.outbox.add(line) >= this.maxBatchBytes) this.seal()
      else this.#lingerTimer ??= setTimeout(() => this.#lingered(), this.#options.lingerMs ?? 20)
  }

  #lingered() {
    this.#overdue = (this.#connection?.lane.isPaidByRequest ?? false) && this.outbox.inFlight > 0
    if (!this.#overdue) this.seal()
  }

  /** Ends the batch being filled, full or not, and sends it when its turn comes. */
  seal() {
    clearTimeout(this.#lingerTimer)
    this.#lingerTimer = undefined
    this.#overdue = false
    if (this.outbox.seal()) void this.send()
  }

  /** Everything not acknowledged is to be sent on this connection, or waits for one. */
  use(connection: Connection | undefined) {
    this.#connection = connection
    if (connection) {
      this.#window = connection.lane.window
      this.#fittingBatchBytes = Number.POSITIVE_INFINITY
    }
    this.outbox.rewind()
    if (this.#overdue) this.seal()
    void this.send()
  }

  /** The server's window is another one from here on. */
  resize(window: Window) {
    this.#window = window
  }

  /** Sends nothing more on this connection; what is in flight is still acknowledged. */
  stop() {
    this.#connection = undefined
  }

  acknowledge(durable: number) {
    this.outbox.acknowledge(durable)
    this.wakeWaiters()
    if (this.#overdue && this.outbox.inFlight === 0) this.seal()
    void this.send()
  }

  get isFull(): boolean {
    return this.outbox.size > (this.#options.maxBufferedBytes ?? 32 << 20)
  }

  /** Resolves when something was acknowledged, or nothing will be. */
  waitForRoom(): Promise<void> {
    this.seal()
    return new Promise((resolve) => this.#roomWaiters.push(resolve))
  }

  wakeWaiters() {
    for (const resolve of this.#roomWaiters.splice(0)) resolve()
  }

  end() {
    this.hasEnded = true
    clearTimeout(this.#lingerTimer)
    this.#connection = undefined
    this.wakeWaiters()
  }

  /** Sends what fits. One at a time: compression takes a while, and the order must hold. */
  async send() {
    if (this.#sending) return
    this.#sending = true
    try {
      for (;;) {
        const connection = this.#connection
        const batch = this.outbox.waiting
        if (!connection || !batch) return
        const rows = await encodeRows(batch, this.#compressionFor(connection))
        // The connection may be gone by now, and the batch acknowledged by the one before.
        if (this.#connection !== connection || this.outbox.waiting !== batch) continue
        if (!this.#post(connection, batch, rows)) return
      }
    } catch (error) {
      this.#failed(asZerobusError(error))
    } finally {
      this.#sending = false
    }
  }

  /** False when the window is full. */
  #post(connection: Connection, batch: Batch, rows: NonNullable<Batch['encoded']>): boolean {
    const { lane, opened } = connection
    if (!this.outbox.fits(batch, this.#window)) return false
    const message = encodeMessage(batch, rows, lane.binary)
    this.#learnBatchSize(batch.size, message.bytes, lane.messageBytes)
    if (message.bytes > lane.messageBytes || rows.rawBytes > opened.limits.batchBytes) this.outbox.split(batch)
    else {
      this.outbox.markSent()
      lane.send(message.data)
    }
    return true
  }

  /** Where messages are small (32 KB behind API Gateway), batches become what compresses to almost one of them. */
  #learnBatchSize(size: number, messageBytes: number, limit: number) {
    // Small batches compress worse than what is to be known here.
    if (messageBytes < limit / 4) return
    this.#fittingBatchBytes = Math.max(1024, Math.floor((0.9 * limit * size) / messageBytes))
  }

  #compressionFor(connection: Connection): Compression {
    const wanted = this.#options.compression ?? 'gzip'
    return connection.opened.encodings.includes(wanted) ? wanted : 'none'
  }
}
