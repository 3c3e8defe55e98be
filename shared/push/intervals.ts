import * as z from 'zod'

/** A set of offsets as disjoint, non-touching, ascending half-open ranges: `[[0, 40], [50, 60]]` is 0..39 and 50..59. */
export type Intervals = readonly (readonly [number, number])[]

export const intervalsSchema: z.ZodType<Intervals> = z.array(z.tuple([z.int().min(0), z.int().min(1)]).readonly())

/** The union of a set and one range. An empty range changes nothing. */
export function addRange(set: Intervals, from: number, to: number): Intervals {
  if (from >= to) return set
  const before = set.filter(([, end]) => end < from)
  const after = set.filter(([start]) => start > to)
  const touched = set.slice(before.length, set.length - after.length)
  const start = Math.min(from, touched[0]?.[0] ?? from)
  const end = Math.max(to, touched.at(-1)?.[1] ?? to)
  return [...before, [start, end], ...after]
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
