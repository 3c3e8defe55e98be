import { expect, test } from '@jest/globals'
import { unpackHadoopLz4, unpackLz4 } from '../../../shared/delta/lz4.ts'

// LZ4 block format: a token of two lengths, literals, the distance back (low byte first), and again.
const hello = Buffer.concat([Buffer.from([0x52]), Buffer.from('hello'), Buffer.from([5, 0, 0x10]), Buffer.from('!')])
const run = Buffer.concat([Buffer.from([0x1f]), Buffer.from('a'), Buffer.from([1, 0, 255, 11, 0x10]), Buffer.from('b')])
const long = Buffer.concat([Buffer.from([0xf0, 255, 30]), Buffer.alloc(300, 'x')])

/** A block with its lengths before it, as Hadoop writes it. */
function framed(block: Buffer, unpacked: number): Buffer {
  const head = Buffer.alloc(8)
  head.writeUInt32BE(unpacked, 0)
  head.writeUInt32BE(block.length, 4)
  return Buffer.concat([head, block])
}

test.each([
  ['a match', hello, 'hellohelloh!'],
  ['a match that reaches into itself', run, `${'a'.repeat(286)}b`],
  ['literals longer than a byte says', long, 'x'.repeat(300)],
  ['nothing', Buffer.from([0]), ''],
])('%s is unpacked', (_, block, text) => {
  expect(Buffer.from(unpackLz4(block, text.length)).toString()).toBe(text)
})

test("Hadoop's frames are unpacked one after the other, and a bare block as well", () => {
  const frames = Buffer.concat([framed(hello, 12), framed(long, 300)])

  expect(Buffer.from(unpackHadoopLz4(frames, 312)).toString()).toBe(`hellohelloh!${'x'.repeat(300)}`)
  expect(Buffer.from(unpackHadoopLz4(long, 300)).toString()).toBe('x'.repeat(300))
})

test.each([
  ['cut short', hello.subarray(0, 4), 12],
  ['longer than it should be', hello, 11],
  ['shorter than it should be', hello, 13],
  ['reaching back before its start', Buffer.from([0x10, 0x61, 9, 0, 0]), 5],
])('a block %s is refused', (_, block, length) => {
  expect(() => unpackLz4(block, length)).toThrow(RangeError)
})
