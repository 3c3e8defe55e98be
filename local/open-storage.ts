import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { IngestError } from '../shared/core/errors.ts'
import { diskStorage } from '../shared/storage/disk.ts'
import type { Storage } from '../shared/storage/storage.ts'

/**
 * The lakehouse at a place: a folder (relative to `base`), `file:///folder` or `s3://bucket/prefix`. `localFolder` is
 * where it is on this machine, if it is.
 *
 * @throws IngestError `config.invalid` (fix) for any other scheme
 */
export function openStorage(place: string, base: string): { storage: Storage; localFolder?: string } {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(place)?.[1]?.toLowerCase()
  if (scheme === undefined || scheme === 'file') {
    const folder = scheme ? fileURLToPath(place) : resolve(base, place)
    return { storage: diskStorage(folder), localFolder: folder }
  }
  throw new IngestError('config.invalid', `lakehouse is a folder or s3://bucket/prefix, got ${scheme}://`)
}
