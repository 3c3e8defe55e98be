import type { WebSocket } from 'ws'
import type { Receipt } from '../../shared/push/batch.ts'
import type { AckFrame } from '../../shared/push/frames.ts'
import type { Window } from '../../shared/push/pressure.ts'

/** Answers that a producer has not taken. Beyond it nothing more is read from it: each frame it sends asks for another. */
const MAX_UNTAKEN_BYTES = 1 << 20
/** Batches whose rejections wait to be told, in an ack of the next turn or once answers are taken again. */
const MAX_UNTOLD = 500
const UNTAKEN_MS = 50

type Rejections = Pick<Receipt, 'rejectedRanges' | 'rejected'>

export interface AcksPorts {
  socket: WebSocket
  /** What the session may have in flight now. */
  window(): Window
  /** How far the session is now. Asked once it is open. */
  progress(): { durable: number; committed: number }
  send(ack: AckFrame): void
}

/** Tells a producer how far its session is, what was rejected, and when its window is another. */
export class Acks {
  readonly #ports: AcksPorts
  #due = false
  #stopped = false
  #timer: NodeJS.Timeout | undefined
  /** The window the producer knows. */
  #toldWindow: Window = { bytes: 0, records: 0 }
  /** To be told once the session's durable offset covers them. */
  #untold: ({ end: number } & Rejections)[] = []

  constructor(ports: AcksPorts) {
    this.#ports = ports
  }

  /** Too much waits to be told or taken: reading on would only add to it. */
  get areBehind(): boolean {
    return this.#ports.socket.bufferedAmount > MAX_UNTAKEN_BYTES || this.#untold.length > MAX_UNTOLD
  }

  /**
   * What a session is told when it opens, a quarter of what it may use: sessions that open together would all send what one
   * may, before any knows of the others.
   */
  firstWindow(): Window {
    const { bytes, records } = this.#ports.window()
    this.#toldWindow = { bytes: Math.ceil(bytes / 4), records: Math.ceil(records / 4) }
    return this.#toldWindow
  }

  /** The window may be larger than what was told. */
  noteWindow() {
    if (this.#ports.window().bytes > this.#toldWindow.bytes) this.schedule()
  }

  /** Of a batch that ends before `end`. */
  reject(end: number, { rejectedRanges, rejected }: Rejections) {
    if (rejectedRanges.length > 0) this.#untold.push({ end, rejectedRanges, rejected })
  }

  /** Batches that become durable in the same turn share one ack. */
  schedule() {
    if (this.#due) return
    this.#due = true
    setImmediate(() => this.#tell())
  }

  /** No ack covers a batch before its rejections are told: a producer may leave as soon as all is acknowledged. */
  send() {
    const { durable } = this.#ports.progress()
    const told = this.#untold.filter(({ end }) => end <= durable).sort((a, b) => a.end - b.end)
    this.#untold = this.#untold.filter(({ end }) => end > durable)
    told.forEach(({ end, rejectedRanges, rejected }, i) => {
      this.#sendOne(i === told.length - 1 ? durable : end, {
        rejectedRanges: rejectedRanges.map(([from, to]) => [from, to]),
        rejected: [...rejected],
      })
    })
    if (told.length === 0) this.#sendOne(durable, {})
  }

  /** The connection ends: nothing more is told by itself. */
  stop() {
    this.#stopped = true
    clearTimeout(this.#timer)
  }

  #tell() {
    if (this.#stopped) return
    // An ack covers those before it, so a producer that does not take them now gets fewer.
    if (this.#ports.socket.bufferedAmount > MAX_UNTAKEN_BYTES) {
      this.#timer = setTimeout(() => this.#tell(), UNTAKEN_MS)
      return
    }
    this.#due = false
    this.send()
  }

  #sendOne(durable: number, rejected: Pick<AckFrame, 'rejected' | 'rejectedRanges'>) {
    const committed = Math.min(this.#ports.progress().committed, durable)
    const window = this.#ports.window()
    const news = window.bytes === this.#toldWindow.bytes ? {} : { window }
    this.#toldWindow = window
    this.#ports.send({ type: 'ack', durable, committed, ...rejected, ...news })
  }
}
