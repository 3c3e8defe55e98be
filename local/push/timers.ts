/** The longest that a timer of Node holds: 24.8 days. */
const LONGEST_MS = 2 ** 31 - 1

/** Does something once, however far away; `Infinity` is never. Returns what stops it. */
export function after(ms: number, work: () => void): () => void {
  if (ms === Number.POSITIVE_INFINITY) return () => {}
  let timer: NodeJS.Timeout
  const wait = (leftMs: number) => {
    timer =
      leftMs > LONGEST_MS
        ? setTimeout(() => wait(leftMs - LONGEST_MS), LONGEST_MS)
        : setTimeout(work, Math.max(0, leftMs))
  }
  wait(ms)
  return () => clearTimeout(timer)
}

/** Does something again and again. Returns what stops it. */
export function every(ms: number, work: () => void): () => void {
  const timer = setInterval(work, ms)
  return () => clearInterval(timer)
}
