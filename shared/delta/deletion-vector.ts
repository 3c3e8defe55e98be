import { crc32 } from 'node:zlib'
import { IngestError } from '../core/errors.ts'
import type { Random } from '../core/random.ts'
import type { Storage } from '../storage/storage.ts'
import type { DeletionVector } from './actions.ts'
import { locate } from './file-path.ts'
import { decodeRoaring, encodeRoaring } from './roaring.ts'
import { decodeZ85, encodeZ85 } from './z85.ts'

/** Says that a portable Roaring bitmap follows, little endian. */
const MAGIC = 1681511377
const FILE_VERSION = 1

/**
 * The rows of a data file that are deleted: their positions from 0, ascending (Delta protocol, "Deletion Vectors").
 * @throws IngestError `table.corrupt` (fix) when the vector is missing, damaged, or holds another number of rows,
 *   `table.unsupported_feature` (fix) when it is outside of the storage
 */
export async function readDeletionVector(storage: Storage, root: string, vector: DeletionVector): Promise<number[]> {
  const rows = decodeBitmap(await bitmapOf(storage, root, vector))
  if (rows.length !== vector.cardinality) {
    throw damaged(`has ${rows.length} rows where the log says ${vector.cardinality}`)
  }
  return rows
}

/**
 * Writes the deletion vectors of several data files into one new file at the table's root and returns each one's
 * descriptor, in order. `rows` of a file are distinct and ascending, and include those deleted before.
 */
export async function writeDeletionVectors(
  storage: Storage,
  root: string,
  files: readonly (readonly number[])[],
  random: Random,
): Promise<DeletionVector[]> {
  const uuid = random.uuid()
  const blobs = files.map(encodeBitmap)
  const bytes = new Uint8Array(1 + blobs.reduce((sum, blob) => sum + blob.length + 8, 0))
  const view = new DataView(bytes.buffer)
  bytes[0] = FILE_VERSION
  let at = 1
  const vectors = blobs.map((blob, index): DeletionVector => {
    const offset = at
    view.setInt32(at, blob.length)
    bytes.set(blob, at + 4)
    view.setUint32(at + 4 + blob.length, crc32(blob))
    at += blob.length + 8
    const id = encodeZ85(Uint8Array.from(Buffer.from(uuid.replaceAll('-', ''), 'hex')))
    const cardinality = files[index]!.length
    return { storageType: 'u', pathOrInlineDv: id, offset, sizeInBytes: blob.length, cardinality }
  })
  await storage.put(join(root, fileName(uuid)), bytes)
  return vectors
}

/** A deletion vector kept in the log itself: for a few rows, where a file of its own is not worth it. */
export function inlineDeletionVector(rows: readonly number[]): DeletionVector {
  const blob = encodeBitmap(rows)
  return { storageType: 'i', pathOrInlineDv: encodeZ85(blob), sizeInBytes: blob.length, cardinality: rows.length }
}

/** Where the vector's file is in storage; undefined for one in the log. For vacuum. */
export function deletionVectorPath(root: string, storageUrl: string, vector: DeletionVector): string | undefined {
  if (vector.storageType === 'i') return undefined
  if (vector.storageType === 'p') {
    const place = locate(vector.pathOrInlineDv, root, storageUrl)
    return 'storagePath' in place ? place.storagePath : undefined
  }
  // A random folder may stand before the 20 digits of the UUID.
  const prefix = vector.pathOrInlineDv.slice(0, -20)
  const hex = Buffer.from(decodeZ85(vector.pathOrInlineDv.slice(-20))).toString('hex')
  const uuid = hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
  return join(root, prefix === '' ? fileName(uuid) : `${prefix}/${fileName(uuid)}`)
}

const fileName = (uuid: string) => `deletion_vector_${uuid}.bin`

const join = (root: string, name: string) => (root === '' ? name : `${root}/${name}`)

function encodeBitmap(rows: readonly number[]): Uint8Array {
  const bitmap = encodeRoaring(rows)
  const bytes = new Uint8Array(4 + bitmap.length)
  new DataView(bytes.buffer).setUint32(0, MAGIC, true)
  bytes.set(bitmap, 4)
  return bytes
}

function decodeBitmap(bytes: Uint8Array): number[] {
  const magic = bytes.length < 4 ? 0 : new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true)
  if (magic !== MAGIC) throw damaged(`begins with ${magic}, not ${MAGIC}`)
  return decodeRoaring(bytes.subarray(4))
}

async function bitmapOf(storage: Storage, root: string, vector: DeletionVector): Promise<Uint8Array> {
  if (vector.storageType === 'i') return decodeZ85(vector.pathOrInlineDv).subarray(0, vector.sizeInBytes)
  const path = deletionVectorPath(root, storage.url, vector)
  if (path === undefined) {
    throw new IngestError(
      'table.unsupported_feature',
      `the deletion vector ${vector.pathOrInlineDv} is outside of the lakehouse; copy the table into it`,
    )
  }
  const start = vector.offset ?? 1
  const bytes = await storage.get(path, { start, end: start + vector.sizeInBytes + 8 })
  if (!bytes) throw damaged(`is missing: restore ${path}`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes.length < vector.sizeInBytes + 8 || view.getInt32(0) !== vector.sizeInBytes) {
    throw damaged(`is cut short: restore ${path}`)
  }
  const bitmap = bytes.subarray(4, 4 + vector.sizeInBytes)
  if (view.getUint32(4 + vector.sizeInBytes) !== crc32(bitmap)) throw damaged(`fails its checksum: restore ${path}`)
  return bitmap
}

const damaged = (how: string) => new IngestError('table.corrupt', `a deletion vector of the table ${how}`)
