import type { ZerobusError } from './errors.ts'

/** Promises that wait for a count to pass their offset. */
export class Waiters {
  #waiting: { offset: number; resolve(): void; reject(error: ZerobusError): void }[] = []
  #done = 0
  #failure: ZerobusError | undefined

  /** Everything below it has been reached. */
  get done(): number {
    return this.#done
  }

  wait(offset: number): Promise<void> {
    if (offset < this.#done) return Promise.resolve()
    if (this.#failure) return Promise.reject(this.#failure)
    return new Promise((resolve, reject) => this.#waiting.push({ offset, resolve, reject }))
  }

  /** False when it was reached before. */
  advance(done: number): boolean {
    if (done <= this.#done) return false
    this.#done = done
    const ready = this.#waiting.filter((waiter) => waiter.offset < done)
    this.#waiting = this.#waiting.filter((waiter) => waiter.offset >= done)
    for (const waiter of ready) waiter.resolve()
    return true
  }

  fail(error: ZerobusError) {
    this.#failure = error
    for (const waiter of this.#waiting.splice(0)) waiter.reject(error)
  }
}
