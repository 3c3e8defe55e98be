import { createZstdCompress, gzipSync, zstdCompressSync } from 'node:zlib'
import { expect, test } from '@jest/globals'
import { decompress } from '../../../shared/push/payload.ts'

const rows = Buffer.from('{"id":1}\n'.repeat(100))
const compress = { none: (bytes: Buffer) => bytes, gzip: gzipSync, zstd: zstdCompressSync } as const

test.each(['none', 'gzip', 'zstd'] as const)(
  '%s rows of exactly the limit pass, one byte more does not',
  (encoding) => {
    const body = compress[encoding](rows)

    expect(Buffer.from(decompress(body, encoding, rows.length))).toEqual(rows)
    expect(() => decompress(body, encoding, rows.length - 1)).toThrow(
      expect.objectContaining({ code: 'push.too_large' }),
    )
  },
)

test.each(['gzip', 'zstd'] as const)('a %s bomb is stopped at the limit', (encoding) => {
  const bomb = compress[encoding](Buffer.alloc(64 << 20))

  expect(() => decompress(bomb, encoding, 1 << 20)).toThrow(expect.objectContaining({ code: 'push.too_large' }))
})

test.each(['gzip', 'zstd'] as const)('cut, damaged or empty %s data is refused', (encoding) => {
  const body = compress[encoding](rows)

  for (const bad of [body.subarray(0, -5), Buffer.from('not compressed'), Buffer.alloc(0)])
    expect(() => decompress(bad, encoding, 1 << 20)).toThrow(expect.objectContaining({ code: 'push.frame_invalid' }))
})

test('zstd rows come out whole whether their frame says their size or not', async () => {
  const bytes = Buffer.from(Array.from({ length: 3 << 20 }, (_, i) => (i * 2654435761) >>> 24))
  for (const size of [1, 62, 63, 64, 255, 256, 257, 65_791, 65_792, (1 << 20) - 1, 1 << 20, 3 << 20]) {
    const rows = bytes.subarray(0, size)
    const told = zstdCompressSync(rows)
    const untold = Buffer.concat(await Array.fromAsync(createZstdCompress().end(rows)))

    expect(Buffer.compare(decompress(told, 'zstd', 3 << 20), rows)).toBe(0)
    expect(Buffer.compare(decompress(untold, 'zstd', 3 << 20), rows)).toBe(0)
  }
})
