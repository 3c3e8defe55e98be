import { createCipheriv, createDecipheriv, createHash, randomBytes, randomUUID } from 'node:crypto'
import { chmod, link, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { compareBytes } from '../core/byte-order.ts'
import { IngestError } from '../core/errors.ts'
import { errnoOf, fileError, makeFolder, syncFolder, writeAll } from '../storage/files.ts'
import { removeLeftovers, temporaryName } from '../storage/temporary.ts'
import { checkSecret, type Secrets } from './secrets.ts'

/**
 * Secrets as files of a folder only its owner may enter, each encrypted with AES-256-GCM under the key in `keyFile`, which
 * is made on first use. The folder alone is worth nothing: keep the key elsewhere, or out of the backup, to gain from that.
 * Any number of processes may share it.
 */
export function fileSecrets(folder: string, { keyFile = join(folder, 'key') }: { keyFile?: string } = {}): Secrets {
  const root = resolve(folder)
  // A name may differ from another in case only, which some file systems do not tell apart.
  const fileOf = (name: string) => join(root, `${createHash('sha256').update(name).digest('hex')}.secret`)

  async function readSealed(file: string): Promise<[name: string, value: string] | undefined> {
    const sealed = await readFile(file).catch(ignoreMissing)
    if (!sealed) return undefined
    const key = await readKey(keyFile)
    if (!key) throw unreadable(file, `there is no key file ${keyFile}`)
    return unseal(file, sealed, key)
  }

  async function prepare(): Promise<void> {
    await makeFolder(root, root)
    await chmod(root, 0o700)
    await removeLeftovers(root)
  }

  return {
    async get(name) {
      checkSecret(name)
      return await translated(`read secret "${name}"`, async () => (await readSealed(fileOf(name)))?.[1])
    },

    async list() {
      return await translated('list secrets', async () => {
        const files = (await readdir(root).catch(ignoreMissing)) ?? []
        const found = await Promise.all(
          files.filter((file) => file.endsWith('.secret')).map((file) => readSealed(join(root, file))),
        )
        return found.flatMap((secret) => (secret ? [secret[0]] : [])).sort(compareBytes)
      })
    },

    async put(name, value) {
      checkSecret(name, value)
      await translated(`write secret "${name}"`, async () => {
        await prepare()
        const key = (await readKey(keyFile)) ?? (await makeKey(keyFile))
        const target = fileOf(name)
        await writePrivately(target, seal(target, [name, value], key), (file) => rename(file, target))
      })
    },

    async delete(name) {
      checkSecret(name)
      await translated(`delete secret "${name}"`, async () => {
        await rm(fileOf(name), { force: true })
        await syncFolder(root).catch(ignoreMissing)
      })
    },
  }
}

/**
 * A sealed secret: 1 byte of format (1), 12 of nonce, 16 of tag, then name and value as encrypted JSON. The name of the file
 * is authenticated with it, so that one secret's file cannot stand in for another's.
 */
const format = 1
const nonceBytes = 12
const tagBytes = 16

function seal(file: string, secret: [name: string, value: string], key: Buffer): Buffer {
  const nonce = randomBytes(nonceBytes)
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(basename(file)))
  const text = Buffer.concat([cipher.update(JSON.stringify(secret), 'utf8'), cipher.final()])
  return Buffer.concat([Buffer.of(format), nonce, cipher.getAuthTag(), text])
}

function unseal(file: string, sealed: Buffer, key: Buffer): [name: string, value: string] {
  const textAt = 1 + nonceBytes + tagBytes
  if (sealed[0] !== format || sealed.length < textAt) throw unreadable(file, 'it is not of this version')
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(1, 1 + nonceBytes), { authTagLength: tagBytes })
    .setAAD(Buffer.from(basename(file)))
    .setAuthTag(sealed.subarray(1 + nonceBytes, textAt))
  let text: Buffer
  try {
    text = Buffer.concat([decipher.update(sealed.subarray(textAt)), decipher.final()])
  } catch (error) {
    throw unreadable(file, 'it was changed, or the key is another', error)
  }
  return JSON.parse(text.toString())
}

const unreadable = (file: string, why: string, cause?: unknown) =>
  new IngestError('secrets.unreadable', `the secret in ${file} cannot be decrypted: ${why}`, { cause })

/** The key; undefined when there is none yet. A key others may read is refused, as ssh does. */
async function readKey(keyFile: string): Promise<Buffer | undefined> {
  const info = await stat(keyFile).catch(ignoreMissing)
  if (!info) return undefined
  if ((info.mode & 0o077) !== 0) {
    throw new IngestError('storage.permission_denied', `others may read the key file ${keyFile}: run chmod 600 on it`)
  }
  const key = await readFile(keyFile)
  if (key.length === 32) return key
  throw new IngestError('secrets.unreadable', `the key file ${keyFile} has ${key.length} bytes, a key has 32`)
}

/** A new key, or the one another process made in the same moment. */
async function makeKey(keyFile: string): Promise<Buffer> {
  const folder = dirname(resolve(keyFile))
  await makeFolder(folder, folder)
  await writePrivately(keyFile, randomBytes(32), async (file) => {
    await link(file, keyFile).catch((error) => {
      if (errnoOf(error) !== 'EEXIST') throw error
    })
  })
  return (await readKey(keyFile))!
}

/** A file that is its owner's alone from the start, durable and whole when it gets its name. */
async function writePrivately(target: string, bytes: Uint8Array, give: (file: string) => Promise<void>): Promise<void> {
  const folder = dirname(target)
  const file = join(folder, temporaryName(randomUUID()))
  try {
    {
      await using handle = await open(file, 'wx', 0o600)
      await writeAll(handle, bytes)
      await handle.sync()
    }
    await give(file)
    await syncFolder(folder)
  } finally {
    await rm(file, { force: true })
  }
}

async function translated<T>(doing: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw fileError(error, doing)
  }
}

function ignoreMissing(error: unknown): undefined {
  if (errnoOf(error) !== 'ENOENT') throw error
}
