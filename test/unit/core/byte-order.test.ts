import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { compareBytes } from '../../../shared/core/byte-order.ts'

test('strings compare as their UTF-8 bytes do', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (a, b) => {
      expect(Math.sign(compareBytes(a, b))).toBe(Buffer.compare(Buffer.from(a), Buffer.from(b)))
    }),
    {
      examples: [
        ['\u{ffee}', '\u{1f986}'],
        ['a', 'a\u0000'],
        ['', ''],
      ],
    },
  )
})
