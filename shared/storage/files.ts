import { type FileHandle, mkdir, open } from 'node:fs/promises'
import { dirname } from 'node:path'
import { IngestError } from '../core/errors.ts'

/** A file system error as one of ours, by its code. `doing` is a phrase like `write "a/b"`. */
export function fileError(error: unknown, doing: string): IngestError {
  if (error instanceof IngestError) return error
  const code = errnoOf(error)
  const message = `could not ${doing}: ${error instanceof Error ? error.message : String(error)}`
  switch (code) {
    // EFBIG is the process's own limit on file size (ulimit -f).
    case 'ENOSPC':
    case 'EDQUOT':
    case 'EFBIG':
      return new IngestError('storage.full', message, { cause: error })
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new IngestError('storage.permission_denied', message, { cause: error })
    // EEXIST is a folder's name that a file has.
    case 'EEXIST':
    case 'ENAMETOOLONG':
    case 'EISDIR':
    case 'ENOTDIR':
    case 'EILSEQ':
    case 'ELOOP':
      return new IngestError('storage.path_invalid', message, { cause: error })
    default:
      return new IngestError('storage.unavailable', message, { cause: error })
  }
}

export const errnoOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException | undefined)?.code

/** Writes every byte; one system call may take fewer than it is given. */
export async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    at += (await file.write(bytes, at, bytes.length - at)).bytesWritten
  }
}

/** Makes the names in a folder durable: a new or renamed file survives a power cut only after this. */
export async function syncFolder(folder: string): Promise<void> {
  await using handle = await open(folder, 'r')
  await handle.sync()
}

/** Makes the folder, and those above it, durable in their parents down from `root`, or from above it if `root` is new. */
export async function makeFolder(folder: string, root: string): Promise<void> {
  const firstMade = await mkdir(folder, { recursive: true })
  const top = firstMade !== undefined && firstMade.length <= root.length ? dirname(firstMade) : root
  for (let above = dirname(folder); above.length >= top.length; above = dirname(above)) {
    await syncFolder(above)
    if (above === dirname(above)) return
  }
}
