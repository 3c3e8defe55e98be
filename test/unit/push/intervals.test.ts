import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import {
  addRange,
  addRanges,
  type Intervals,
  missingFrom,
  overlaps,
  prefixEnd,
  without,
} from '../../../shared/push/intervals.ts'

const range = fc.tuple(fc.nat(60), fc.nat(15)).map(([from, length]) => [from, from + length] as const)
const ranges = fc.array(range, { maxLength: 12 })

const build = (parts: Intervals) => parts.reduce<Intervals>((set, [from, to]) => addRange(set, from, to), [])

const members = (set: Intervals) => new Set(set.flatMap(([from, to]) => offsets(from, to)))
const offsets = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i)

test('a set of ranges holds exactly the offsets of a set of numbers, disjoint, ascending and never touching', () => {
  fc.assert(
    fc.property(ranges, (parts) => {
      const set = build(parts)

      expect(members(set)).toEqual(new Set(parts.flatMap(([from, to]) => offsets(from, to))))
      expect(addRanges([], parts)).toEqual(set)
      set.forEach(([from, to], i) => {
        expect(from).toBeLessThan(to)
        if (i > 0) expect(set[i - 1]![1]).toBeLessThan(from)
      })
    }),
  )
})

test('missingFrom, without and overlaps agree with a set of numbers', () => {
  fc.assert(
    fc.property(ranges, range, (parts, [from, to]) => {
      const set = build(parts)
      const known = members(set)
      const wanted = offsets(from, to)

      expect(members(missingFrom(set, from, to))).toEqual(new Set(wanted.filter((offset) => !known.has(offset))))
      expect(members(without(set, from, to))).toEqual(new Set([...known].filter((n) => n < from || n >= to)))
      expect(overlaps(set, from, to)).toBe(wanted.some((offset) => known.has(offset)))
    }),
  )
})

test('the prefix ends at the first offset that is missing', () => {
  fc.assert(
    fc.property(ranges, (parts) => {
      const set = build(parts)
      const known = members(set)
      let first = 0
      while (known.has(first)) first++

      expect(prefixEnd(set)).toBe(first)
    }),
  )
})
