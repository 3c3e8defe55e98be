import { createHash, randomUUID } from 'node:crypto'
import { readFileSync, renameSync, rmSync } from 'node:fs'
import { type FileHandle, link, open, readdir, rm, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { compareBytes } from '../core/byte-order.ts'
import { invariant } from '../core/errors.ts'
import { errnoOf, fileError, makeFolder, syncFolder, writeAll } from './files.ts'
import { fileLock } from './lock.ts'
import { checkPath, checkPrefix, hiddenFolder } from './path.ts'
import { cutRange } from './range.ts'
import type { Storage, StorageWriter, StoredObject } from './storage.ts'
import { removeLeftovers, temporaryName } from './temporary.ts'

/**
 * A folder as storage; any number of processes may share it. Every object is written to a temporary file, fsync'd and
 * then named by link(2) or rename(2), so no reader sees half an object and no crash leaves one. Overwrites and deletes
 * take a lock that dies with its process, which makes `putIfMatch` exact among them; its tag is a hash of the bytes.
 * Nothing is created before the first write, so a read-only folder can be read.
 */
export function diskStorage(rootFolder: string): Storage {
  const root = resolve(rootFolder)
  const hidden = join(root, hiddenFolder)
  const lock = fileLock(join(hidden, 'lock'))
  const durableFolders = new Set<string>()
  let prepared: Promise<void> | undefined

  const fileOf = (path: string) => {
    checkPath(path)
    return join(root, path)
  }

  async function prepare(): Promise<void> {
    await makeFolder(hidden, root)
    await removeLeftovers(hidden)
  }

  /** A new, empty temporary file. Its folder is made on first use, and again should somebody remove it. */
  async function temporary(): Promise<{ file: string; handle: FileHandle }> {
    const file = join(hidden, temporaryName(randomUUID()))
    for (let attempt = 1; ; attempt++) {
      prepared ??= prepare()
      try {
        await prepared
        return { file, handle: await open(file, 'wx') }
      } catch (error) {
        prepared = undefined
        if (errnoOf(error) !== 'ENOENT' || attempt === 2) throw error
      }
    }
  }

  async function writeTemporary(bytes: Uint8Array): Promise<string> {
    const { file, handle } = await temporary()
    try {
      await using _ = handle
      await writeAll(handle, bytes)
      await handle.datasync()
    } catch (error) {
      await rm(file, { force: true })
      throw error
    }
    return file
  }

  /** Gives a written file its name by `give`, and makes the name durable. The folder may vanish under us once. */
  async function name<T>(file: string, target: string, give: () => Promise<T>): Promise<T> {
    const folder = dirname(target)
    try {
      for (let attempt = 1; ; attempt++) {
        if (!durableFolders.has(folder)) {
          await makeFolder(folder, root)
          durableFolders.add(folder)
        }
        try {
          const result = await give()
          await syncFolder(folder)
          return result
        } catch (error) {
          if (errnoOf(error) !== 'ENOENT' || attempt === 2) throw error
          durableFolders.delete(folder)
        }
      }
    } finally {
      await rm(file, { force: true })
    }
  }

  const rename = (file: string, target: string) => name(file, target, () => lock.hold(() => renameSync(file, target)))

  return {
    url: pathToFileURL(root).href.replace(/\/$/, ''),

    async get(path, range) {
      const file = fileOf(path)
      return await translated(`read "${path}"`, () => readRange(file, range))
    },

    async getTagged(path) {
      const file = fileOf(path)
      const bytes = await translated(`read "${path}"`, () => readRange(file))
      return bytes && { bytes, tag: tagOf(bytes) }
    },

    async put(path, bytes) {
      const target = fileOf(path)
      await translated(`write "${path}"`, async () => rename(await writeTemporary(bytes), target))
    },

    async putIfAbsent(path, bytes) {
      const target = fileOf(path)
      return await translated(`write "${path}"`, async () => {
        const file = await writeTemporary(bytes)
        return await name(file, target, async () => {
          try {
            await link(file, target)
            return true
          } catch (error) {
            if (errnoOf(error) === 'EEXIST') return false
            throw error
          }
        })
      })
    },

    async putIfMatch(path, bytes, tag) {
      const target = fileOf(path)
      return await translated(`write "${path}"`, async () => {
        const file = await writeTemporary(bytes)
        return await name(file, target, () =>
          lock.hold(() => {
            if (tagOfFile(target) !== tag) return undefined
            renameSync(file, target)
            return tagOf(bytes)
          }),
        )
      })
    },

    writer(path): StorageWriter {
      const target = fileOf(path)
      return diskWriter(path, temporary, (file) => rename(file, target))
    },

    async takeFile(path, file) {
      const target = fileOf(path)
      return await translated(`write "${path}"`, async () => {
        prepared ??= prepare()
        await prepared
        if ((await stat(file)).dev !== (await stat(hidden)).dev) return false
        await using handle = await open(file, 'r')
        await handle.sync()
        await rename(file, target)
        return true
      })
    },

    async *list(prefix, startAfter) {
      checkPrefix(prefix)
      const folder = prefix.slice(0, prefix.lastIndexOf('/') + 1)
      try {
        yield* walk(root, folder, prefix, startAfter)
      } catch (error) {
        throw fileError(error, `list "${prefix}"`)
      }
    },

    async delete(paths) {
      const files = paths.map(fileOf)
      await translated(`delete ${paths.length} objects`, async () => {
        prepared ??= prepare()
        await prepared
        for (const file of files) await lock.hold(() => removeFile(file))
        for (const folder of new Set(files.map(dirname))) await syncFolder(folder).catch(ignoreMissing)
      })
    },
  }
}

async function translated<T>(doing: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw fileError(error, doing)
  }
}

/** A file that is not there, or whose folder is a file, is no object; nor is a folder. */
const isMissing = (error: unknown) => ['ENOENT', 'ENOTDIR', 'EISDIR'].includes(errnoOf(error) ?? '')

function ignoreMissing(error: unknown): undefined {
  if (!isMissing(error)) throw error
}

function removeFile(file: string): void {
  try {
    rmSync(file)
  } catch (error) {
    if (errnoOf(error) !== 'ERR_FS_EISDIR') ignoreMissing(error)
  }
}

async function readRange(file: string, range?: { start: number; end?: number }): Promise<Uint8Array | undefined> {
  const handle = await open(file, 'r').catch(ignoreMissing)
  if (!handle) return undefined
  await using _ = handle
  const info = await handle.stat()
  if (!info.isFile()) return undefined
  const [start, end] = cutRange(range ?? { start: 0 }, info.size)
  const bytes = new Uint8Array(end - start)
  for (let at = 0; at < bytes.length; ) {
    const { bytesRead } = await handle.read(bytes, at, bytes.length - at, start + at)
    // An object's file never changes once it has its name.
    invariant(bytesRead > 0, `${file} shrank while it was read`)
    at += bytesRead
  }
  return bytes
}

const tagOf = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

function tagOfFile(file: string): string | undefined {
  try {
    return tagOf(readFileSync(file))
  } catch (error) {
    return ignoreMissing(error)
  }
}

/** One file written in pieces. Pieces handed over without awaiting are still written in order. */
function diskWriter(
  path: string,
  create: () => Promise<{ file: string; handle: FileHandle }>,
  publish: (file: string) => Promise<void>,
): StorageWriter {
  let created: ReturnType<typeof create> | undefined
  let last: Promise<unknown> = Promise.resolve()
  let sizeBytes = 0
  let open = true

  const next = <T>(work: (temporary: { file: string; handle: FileHandle }) => Promise<T>): Promise<T> => {
    const result = last.then(async () => {
      created ??= create()
      return await work(await created)
    })
    last = result
    // The caller hears of a failure from its own promise; `last` only orders.
    last.catch(() => {})
    return translated(`write "${path}"`, () => result)
  }

  return {
    async write(bytes) {
      invariant(open, 'write on a finished or aborted writer')
      sizeBytes += bytes.length
      await next(({ handle }) => writeAll(handle, bytes))
    },

    async finish() {
      invariant(open, 'finish of a finished or aborted writer')
      await next(async ({ file, handle }) => {
        await handle.datasync()
        await handle.close()
        await publish(file)
      })
      open = false
      return { sizeBytes }
    },

    async abort() {
      if (!open) return
      open = false
      await last.catch(() => {})
      const temporary = await created?.catch(() => undefined)
      await temporary?.handle.close().catch(() => {})
      if (temporary) await rm(temporary.file, { force: true })
    },
  }
}

/** Files below `folder` (empty, or ending in a slash) in byte order of their whole path. */
async function* walk(
  root: string,
  folder: string,
  prefix: string,
  startAfter: string | undefined,
): AsyncGenerator<StoredObject> {
  const found = await readdir(join(root, folder), { withFileTypes: true }).catch(ignoreMissing)
  const paths = (found ?? [])
    .filter((entry) => folder !== '' || entry.name !== hiddenFolder)
    // A folder sorts as its files do: with the slash.
    .map((entry) => folder + entry.name + (entry.isDirectory() ? '/' : ''))
    .filter((path) => path.startsWith(prefix) || (path.endsWith('/') && prefix.startsWith(path)))
    .sort(compareBytes)
  for (const path of paths) {
    const passed = startAfter !== undefined && compareBytes(path, startAfter) <= 0
    if (path.endsWith('/')) {
      if (!passed || startAfter.startsWith(path)) yield* walk(root, path, prefix, startAfter)
    } else if (!passed) {
      const info = await stat(join(root, path)).catch(ignoreMissing)
      if (info?.isFile()) yield { path, sizeBytes: info.size, modifiedAtMs: Math.floor(info.mtimeMs) }
    }
  }
}
