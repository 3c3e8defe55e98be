import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { IngestError } from '../shared/core/errors.ts'

type Secrets = Record<string, string>

/** The secrets of a folder: one file that only its owner may read. */
const fileIn = (folder: string) => join(folder, '.lakeflow', 'secrets.json')

export async function readSecret(folder: string, name: string): Promise<string | undefined> {
  const secrets = await readSecrets(folder)
  return Object.hasOwn(secrets, name) ? secrets[name] : undefined
}

export async function listSecrets(folder: string): Promise<string[]> {
  return Object.keys(await readSecrets(folder)).sort()
}

/** Stores, or with `undefined` removes, one secret. @throws IngestError `storage.permission_denied` (fix) */
export async function writeSecret(folder: string, name: string, value: string | undefined): Promise<void> {
  const { [name]: _, ...others } = await readSecrets(folder)
  const next = value === undefined ? others : { ...others, [name]: value }
  const file = fileIn(folder)
  try {
    await mkdir(join(folder, '.lakeflow'), { recursive: true, mode: 0o700 })
    await writeFile(`${file}.new`, `${JSON.stringify(next, null, 2)}\n`, { mode: 0o600 })
    await rename(`${file}.new`, file)
  } catch (cause) {
    throw new IngestError('storage.permission_denied', `${file} cannot be written: ${(cause as Error).message}`, {
      cause,
    })
  }
}

async function readSecrets(folder: string): Promise<Secrets> {
  let text: string
  try {
    text = await readFile(fileIn(folder), 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {}
    throw new IngestError('config.invalid', `${fileIn(folder)} cannot be read: ${(error as Error).message}`, {
      cause: error,
    })
  }
  try {
    return JSON.parse(text) as Secrets
  } catch {
    throw new IngestError('config.invalid', `${fileIn(folder)} is not JSON; delete it and store the secrets again`)
  }
}
