import { RejectedRecordsError, type Rejection } from './errors.ts'

/** Ranges remembered; of older ones nobody asks. */
const MAX_RANGES = 10_000

/** Records the server left out: told to `onReject`, else kept until the next `flush` or `close` throws them. */
export class Rejections {
  readonly #onReject: ((reasons: readonly Rejection[], count: number) => void) | undefined
  /** Ascending and disjoint. */
  #ranges: [number, number][] = []
  #reasons: Rejection[] = []
  #unreported = 0
  /** Asked for one by one, so that `close` need not name them again. */
  readonly #reported = new Set<number>()

  constructor(onReject: ((reasons: readonly Rejection[], count: number) => void) | undefined) {
    this.#onReject = onReject
  }

  note(ranges: [number, number][], reasons: Rejection[]) {
    // What was told on another connection, or in an answer that was lost, is told again, perhaps in other pieces.
    const fresh = ranges.flatMap((range) => this.#unknownOf(range))
    if (fresh.length === 0) return
    const count = fresh.reduce((sum, [from, to]) => sum + to - from, 0)
    const news = reasons.filter(({ offset }) => !this.#has(offset))
    this.#ranges = [...this.#ranges, ...fresh].sort((a, b) => a[0] - b[0]).slice(-MAX_RANGES)
    this.#reasons = [...this.#reasons, ...news].slice(-1000)
    if (this.#onReject) this.#onReject(news, count)
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
    return (this.#ranges[this.#after(offset) - 1]?.[1] ?? 0) > offset
  }

  /** The parts of a range that were not heard of before. */
  #unknownOf([from, to]: [number, number]): [number, number][] {
    const parts: [number, number][] = []
    let next = from
    for (let i = Math.max(0, this.#after(from) - 1); i < this.#ranges.length && this.#ranges[i]![0] < to; i++) {
      const [start, end] = this.#ranges[i]!
      if (start > next) parts.push([next, start])
      next = Math.max(next, end)
    }
    if (next < to) parts.push([next, to])
    return parts
  }

  /** The place of the first range that begins after an offset. */
  #after(offset: number): number {
    let low = 0
    let high = this.#ranges.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#ranges[middle]![0] > offset) high = middle
      else low = middle + 1
    }
    return low
  }
}
