import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import {
  deletionVectorPath,
  inlineDeletionVector,
  readDeletionVector,
  writeDeletionVectors,
} from '../../../shared/delta/deletion-vector.ts'
import { decodeRoaring, encodeRoaring } from '../../../shared/delta/roaring.ts'
import { decodeZ85, encodeZ85 } from '../../../shared/delta/z85.ts'
import { memoryStorage } from '../../../shared/storage/memory.ts'
import { seededRandom } from '../../support/delta.ts'

const storage = memoryStorage()

// Test vectors of the Delta protocol and of delta-kernel-rs.
test('a UUID in Z85 names the file of a vector', () => {
  const vector = { storageType: 'u', offset: 4, sizeInBytes: 40, cardinality: 6 } as const

  expect(deletionVectorPath('shop', 'memory://x', { ...vector, pathOrInlineDv: 'ab^-aqEH.-t@S}K{vb[*k^' })).toBe(
    'shop/ab/deletion_vector_d2c639aa-8816-431a-aaf6-d3fe2512ff61.bin',
  )
  expect(deletionVectorPath('', 'memory://x', { ...vector, pathOrInlineDv: '^-aqEH.-t@S}K{vb[*k^' })).toBe(
    'deletion_vector_d2c639aa-8816-431a-aaf6-d3fe2512ff61.bin',
  )
})

test('an inline vector of another writer is read', async () => {
  const rows = await readDeletionVector(storage, 'shop', {
    storageType: 'i',
    pathOrInlineDv: '^Bg9^0rr910000000000iXQKl0rr91000f55c8Xg0@@D72lkbi5=-{L',
    sizeInBytes: 44,
    cardinality: 6,
  })

  expect(rows).toEqual([3, 4, 7, 11, 18, 29])
  expect(inlineDeletionVector(rows).pathOrInlineDv).toBe('^Bg9^0rr910000000000iXQKl0rr91000f55c8Xg0@@D72lkbi5=-{L')
})

test('runs are read: containers 0 and 2 as runs, 1 as a list', () => {
  const view = new DataView(new ArrayBuffer(49))
  view.setBigUint64(0, 1n, true)
  view.setUint32(12, 12347 | (2 << 16), true)
  view.setUint8(16, 0b101)
  const keys = [0, 6, 1, 1, 2, 1]
  for (const [slot, value] of keys.entries()) view.setUint16(17 + slot * 2, value, true)
  const containers = [2, 5, 4, 100, 1, 7, 9, 1, 65534, 1]
  for (const [slot, value] of containers.entries()) view.setUint16(29 + slot * 2, value, true)

  expect(decodeRoaring(new Uint8Array(view.buffer))).toEqual([5, 6, 7, 8, 9, 100, 101, 65543, 65545, 196606, 196607])
})

const rowSets = fc.oneof(
  fc.uniqueArray(fc.nat(200_000), { maxLength: 50 }),
  fc.uniqueArray(fc.nat(2 ** 40), { maxLength: 20 }),
  // Enough in one container for a bitmap.
  fc
    .tuple(fc.nat(70_000), fc.integer({ min: 1, max: 3 }))
    .map(([from, step]) => Array.from({ length: 9000 }, (_, index) => from + index * step)),
)

test('any set of rows comes back as it was', () => {
  fc.assert(
    fc.property(rowSets, (set) => {
      const rows = set.toSorted((a, b) => a - b)

      expect(decodeRoaring(encodeRoaring(rows))).toEqual(rows)
    }),
    { numRuns: 30 },
  )
})

test('any bytes of a multiple of four come back from Z85', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      const whole = bytes.subarray(0, bytes.length - (bytes.length % 4))

      expect(decodeZ85(encodeZ85(whole))).toEqual(whole)
    }),
  )
})

test('vectors of several files share one file', async () => {
  const sets = [[1, 2, 3], [70_000], Array.from({ length: 9000 }, (_, index) => index * 2)]

  const vectors = await writeDeletionVectors(storage, 'shop', sets, seededRandom(5))

  expect(vectors[0]).toMatchObject({ storageType: 'u', offset: 1, cardinality: 3 })
  expect(new Set(vectors.map(({ pathOrInlineDv }) => pathOrInlineDv)).size).toBe(1)
  for (const [index, vector] of vectors.entries()) {
    expect(await readDeletionVector(storage, 'shop', vector)).toEqual(sets[index])
  }
})

test('a damaged vector is refused, not misread', async () => {
  const [vector] = await writeDeletionVectors(storage, 'shop', [[1, 2, 3]], seededRandom(6))
  const path = deletionVectorPath('shop', storage.url, vector!)!
  const bytes = (await storage.get(path))!

  await storage.put(path, bytes.with(20, bytes[20]! ^ 1))
  await expect(readDeletionVector(storage, 'shop', vector!)).rejects.toThrow('fails its checksum')
  await storage.put(path, bytes.subarray(0, 20))
  await expect(readDeletionVector(storage, 'shop', vector!)).rejects.toThrow('is cut short')
  await storage.put(path, bytes)
  await expect(readDeletionVector(storage, 'shop', { ...vector!, cardinality: 2 })).rejects.toThrow('has 3 rows')
  await storage.delete([path])
  await expect(readDeletionVector(storage, 'shop', vector!)).rejects.toThrow('is missing')
})
