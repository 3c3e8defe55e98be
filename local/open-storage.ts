import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { IngestError } from '../shared/core/errors.ts'
import { diskStorage } from '../shared/storage/disk.ts'
import type { Storage } from '../shared/storage/storage.ts'

/**
 * The lakehouse at a place: a folder (relative to `base`), `file:///folder`, or `s3://bucket/prefix` with the region,
 * credentials and endpoint of the AWS environment. `localFolder` is where it is on this machine, if it is.
 *
 * @throws IngestError `config.invalid` (fix) for any other scheme
 */
export async function openStorage(place: string, base: string): Promise<{ storage: Storage; localFolder?: string }> {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(place)?.[1]?.toLowerCase()
  if (scheme === undefined || scheme === 'file') {
    const folder = scheme ? fileURLToPath(place) : resolve(base, place)
    return { storage: diskStorage(folder), localFolder: folder }
  }
  const found = /^s3:\/\/([a-z0-9][a-z0-9.-]+)(?:\/(.*?))?\/?$/i.exec(place)
  if (!found) throw new IngestError('config.invalid', `lakehouse is a folder or s3://bucket/prefix, got ${place}`)
  return { storage: await openS3(found[1]!, found[2] ?? '') }
}

/** The SDK takes a third of a second to load, which a lakehouse on disk need not wait for. */
async function openS3(bucket: string, prefix: string): Promise<Storage> {
  const s3 = await import('./s3.ts')
  return s3.openS3(bucket, prefix)
}
