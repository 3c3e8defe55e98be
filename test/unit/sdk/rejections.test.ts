import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import type { Rejection } from '../../../sdk/errors.ts'
import { Rejections } from '../../../sdk/rejections.ts'
import { addRanges } from '../../../shared/push/intervals.ts'

const reasonOf = (offset: number): Rejection => ({
  offset,
  column: 'id',
  code: 'wrong_type',
  got: 'number',
  wanted: 'string',
})

test('records told again, in whatever pieces and order, are reported once each', () => {
  const ranges = fc.array(
    fc
      .tuple(fc.nat(40), fc.integer({ min: 1, max: 8 }))
      .map(([from, length]): [number, number] => [from, from + length]),
    { maxLength: 6 },
  )
  const disjoint = (parts: [number, number][]) => addRanges([], parts).map(([from, to]): [number, number] => [from, to])
  const offsetsOf = ([from, to]: [number, number]) => Array.from({ length: to - from }, (_, i) => from + i)

  fc.assert(
    fc.property(fc.array(ranges.map(disjoint)), (acks) => {
      const reported: number[] = []
      let counted = 0
      const rejections = new Rejections((reasons, count) => {
        reported.push(...reasons.map(({ offset }) => offset))
        counted += count
      })

      for (const ack of acks) rejections.note(ack, ack.flatMap(offsetsOf).map(reasonOf))

      const wanted = [...new Set(acks.flat().flatMap(offsetsOf))].sort((a, b) => a - b)
      expect(counted).toBe(wanted.length)
      expect(reported.sort((a, b) => a - b)).toEqual(wanted)
      for (let offset = 0; offset < 50; offset++)
        if (wanted.includes(offset)) expect(() => rejections.check(offset)).toThrow('wrong_type')
        else rejections.check(offset)
    }),
  )
})
