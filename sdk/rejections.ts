import { RejectedRecordsError, type Rejection } from './errors.ts'

/** Records the server left out: told to `onReject`, else kept until the next `flush` or `close` throws them. */
export class Rejections {
  readonly #onReject: ((reasons: readonly Rejection[], count: number) => void) | undefined
  #ranges: [number, number][] = []
  #reasons: Rejection[] = []
  #unreported = 0
  /** Asked for one by one, so that `close` need not name them again. */
  readonly #reported = new Set<number>()

  constructor(onReject: ((reasons: readonly Rejection[], count: number) => void) | undefined) {
    this.#onReject = onReject
  }

  note(ranges: [number, number][], reasons: Rejection[]) {
    // An ack repeated after a resend names the same records again.
    const fresh = ranges.filter(([from]) => !this.#has(from))
    if (fresh.length === 0) return
    const count = fresh.reduce((sum, [from, to]) => sum + to - from, 0)
    this.#ranges = [...this.#ranges, ...fresh].slice(-10_000)
    this.#reasons = [...this.#reasons, ...reasons].slice(-1000)
    if (this.#onReject) this.#onReject(reasons, count)
    else this.#unreported += count
  }

  /** @throws RejectedRecordsError when this record was left out */
  check(offset: number) {
    if (!this.#has(offset)) return
    const reasons = this.#reasons.filter((reason) => reason.offset === offset)
    if (this.#unreported > 0 && !this.#reported.has(offset)) {
      this.#unreported--
      this.#reported.add(offset)
    }
    throw new RejectedRecordsError(reasons, 1)
  }

  /** @throws RejectedRecordsError with all that no callback has heard of, once */
  throwUnreported() {
    if (this.#unreported === 0) return
    const count = this.#unreported
    this.#unreported = 0
    this.#reported.clear()
    throw new RejectedRecordsError(this.#reasons, count)
  }

  #has(offset: number) {
    return this.#ranges.some(([from, to]) => offset >= from && offset < to)
  }
}
