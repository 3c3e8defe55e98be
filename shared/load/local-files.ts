import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { IngestError } from '../core/errors.ts'
import type { Storage } from '../storage/storage.ts'

const CHUNK_BYTES = 8 << 20

/**
 * A path the engine can open: the object itself when storage is a disk of this machine, else a copy in `folder`.
 * Downloads are read in pieces, so memory does not grow with the file.
 * @throws IngestError `table.corrupt` (fix) when there is no such object
 */
export async function localFile(storage: Storage, path: string, folder: string): Promise<string> {
  if (storage.url.startsWith('file://')) return join(fileURLToPath(storage.url), path)
  const copy = join(folder, `in-${path.replaceAll('/', '-')}`)
  const file = await open(copy, 'w')
  try {
    for (let start = 0; ; start += CHUNK_BYTES) {
      const bytes = await storage.get(path, { start, end: start + CHUNK_BYTES })
      if (bytes === undefined) {
        throw new IngestError('table.corrupt', `${path} is in the table but not in storage; restore the file`)
      }
      await file.writeFile(bytes)
      if (bytes.length < CHUNK_BYTES) return copy
    }
  } finally {
    await file.close()
  }
}

/** Moves a finished local file into storage: durable and visible when this resolves. */
export async function storeFile(storage: Storage, path: string, from: string): Promise<void> {
  if (await storage.takeFile?.(path, from)) return
  const writer = storage.writer(path)
  try {
    for await (const chunk of createReadStream(from, { highWaterMark: CHUNK_BYTES })) {
      await writer.write(chunk as Uint8Array)
    }
    await writer.finish()
  } catch (error) {
    await writer.abort()
    throw error
  }
}
