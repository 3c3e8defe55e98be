import { invariant } from '../core/errors.ts'

/** The range of an object of this size, cut to it: [start, end), never negative in length. */
export function cutRange(range: { start: number; end?: number }, sizeBytes: number): [start: number, end: number] {
  checkRange(range)
  const start = range.start < 0 ? Math.max(0, sizeBytes + range.start) : Math.min(range.start, sizeBytes)
  return [start, Math.max(start, Math.min(range.end ?? sizeBytes, sizeBytes))]
}

export function checkRange({ start, end }: { start: number; end?: number }): void {
  invariant(start >= 0 || end === undefined, 'a range that counts from the end takes no end')
}
