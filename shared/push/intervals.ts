import * as z from 'zod'

/** A set of offsets as disjoint, non-touching, ascending half-open ranges: `[[0, 40], [50, 60]]` is 0..39 and 50..59. */
export type Intervals = readonly (readonly [number, number])[]

export const intervalsSchema: z.ZodType<Intervals> = z.array(z.tuple([z.int().min(0), z.int().min(1)]).readonly())

/** The union of a set and one range. An empty range changes nothing. */
export const addRange = (set: Intervals, from: number, to: number): Intervals => addRanges(set, [[from, to]])

/** The union of a set and ranges in any order; one pass, because a batch may have as many of them as records. */
export function addRanges(set: Intervals, ranges: Intervals): Intervals {
  const union: [number, number][] = []
  for (const [from, to] of [...set, ...ranges].sort(([a], [b]) => a - b)) {
    const last = union.at(-1)
    if (last && from <= last[1]) last[1] = Math.max(last[1], to)
    else if (from < to) union.push([from, to])
  }
  return union
}

/** The set less one range. */
export function without(set: Intervals, from: number, to: number): Intervals {
  return set.flatMap(([start, end]) => missingFrom([[from, to]], start, end))
}

/** The parts of `[from, to)` that are not in the set, ascending. */
export function missingFrom(set: Intervals, from: number, to: number): Intervals {
  const missing: [number, number][] = []
  let next = from
  for (const [start, end] of set) {
    if (end <= next) continue
    if (start >= to) break
    if (start > next) missing.push([next, start])
    next = end
  }
  if (next < to) missing.push([next, to])
  return missing
}

/** True when some offset of `[from, to)` is in the set. */
export function overlaps(set: Intervals, from: number, to: number): boolean {
  return from < to && set.some(([start, end]) => start < to && end > from)
}

/** The first offset not in the set: everything below it is. */
export function prefixEnd(set: Intervals): number {
  return set[0]?.[0] === 0 ? set[0][1] : 0
}
