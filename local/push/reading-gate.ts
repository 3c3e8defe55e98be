import type { WebSocket } from 'ws'

/** How often a held connection looks whether it may go on; whoever knows calls `release` at once. */
const HELD_MS = 10

/** Stops reading a socket while its producer is over its window or its quota, or the server is behind. */
export class ReadingGate {
  readonly #socket: WebSocket
  readonly #mustWait: () => boolean
  #closed = false
  #leftOpen = false
  /** By a clock that nobody sets. */
  #heldUntilMs = 0
  #timer: NodeJS.Timeout | undefined

  /** `mustWait`: for another reason than time. */
  constructor(socket: WebSocket, mustWait: () => boolean) {
    this.#socket = socket
    this.#mustWait = mustWait
  }

  /** Nothing is read now, not even the answers of a keep-alive. */
  get isClosed(): boolean {
    return this.#closed
  }

  /** Reads nothing for so long, and longer while it must wait. */
  hold(ms: number) {
    this.#heldUntilMs = Math.max(this.#heldUntilMs, performance.now() + ms)
    if (this.#leftOpen || !this.#isHeld()) return
    this.#closed = true
    this.#socket.pause()
    this.release()
  }

  /** Goes on, or looks again soon. */
  release() {
    if (!this.#closed) return
    clearTimeout(this.#timer)
    if (this.#isHeld()) this.#timer = setTimeout(() => this.release(), HELD_MS)
    else this.#open()
  }

  /** From now on everything is read, until the socket ends. */
  leaveOpen() {
    this.#leftOpen = true
    clearTimeout(this.#timer)
    this.#open()
  }

  #open() {
    this.#closed = false
    this.#socket.resume()
  }

  #isHeld(): boolean {
    return performance.now() < this.#heldUntilMs || this.#mustWait()
  }
}
