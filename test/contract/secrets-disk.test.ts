import { chmod, copyFile, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { fileSecrets } from '../../shared/secrets/disk.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { secretsContract } from './secrets.contract.ts'

secretsContract(async () => {
  const { folder, remove } = await temporaryFolder()
  return { secrets: fileSecrets(join(folder, 'secrets')), close: remove }
})

describe('on disk', () => {
  let folder: string
  let remove: () => Promise<void>

  beforeEach(async () => {
    const temporary = await temporaryFolder()
    folder = join(temporary.folder, 'secrets')
    remove = temporary.remove
  })
  afterEach(() => remove())

  const sealed = async () =>
    (await readdir(folder)).filter((name) => name.endsWith('.secret')).map((name) => join(folder, name))
  const unreadable = { code: 'secrets.unreadable', remedy: 'fix' }

  test('neither value nor name is on disk in plain, and every file is the owner’s alone', async () => {
    await fileSecrets(folder).put('connections/shop', 'hunter2-hunter2')

    for (const name of await readdir(folder)) {
      const file = join(folder, name)
      expect((await readFile(file)).toString('latin1')).not.toMatch(/hunter2|shop/)
      expect((await stat(file)).mode & 0o777).toBe(0o600)
    }
    expect((await stat(folder)).mode & 0o777).toBe(0o700)
    expect(await readdir(folder)).toHaveLength(2)
  })

  test('the same value twice is not the same file', async () => {
    const secrets = fileSecrets(folder)
    await secrets.put('a', 'same')
    await secrets.put('b', 'same')

    const [a, b] = await Promise.all((await sealed()).map((file) => readFile(file)))
    expect(Buffer.compare(a!.subarray(29), b!.subarray(29))).not.toBe(0)
  })

  test('a changed file, another secret’s file, another key or no key is unreadable', async () => {
    const secrets = fileSecrets(folder)
    await secrets.put('a', 'one')
    const [a] = await sealed()
    await secrets.put('b', 'two')
    const b = (await sealed()).find((file) => file !== a)!

    const whole = await readFile(a!)
    for (let at = 0; at < whole.length; at++) {
      const changed = Buffer.from(whole)
      changed[at]! ^= 1
      await writeFile(a!, changed)
      await expect(secrets.get('a')).rejects.toMatchObject(unreadable)
    }
    await writeFile(a!, whole.subarray(0, 10))
    await expect(secrets.get('a')).rejects.toMatchObject(unreadable)
    await copyFile(b, a!)
    await expect(secrets.get('a')).rejects.toMatchObject(unreadable)
    await writeFile(join(folder, 'key'), Buffer.alloc(32))
    await expect(secrets.get('b')).rejects.toMatchObject(unreadable)
    await rm(join(folder, 'key'))
    await expect(secrets.get('b')).rejects.toMatchObject(unreadable)
  })

  test('a key that others may read is refused, with what to do', async () => {
    const secrets = fileSecrets(folder)
    await secrets.put('a', 'one')
    await chmod(join(folder, 'key'), 0o644)

    await expect(secrets.get('a')).rejects.toMatchObject({ code: 'storage.permission_denied' })
    await expect(secrets.put('a', 'two')).rejects.toThrow('chmod 600')
  })

  test('writers that meet at the first use agree on one key', async () => {
    const names = Array.from({ length: 16 }, (_, i) => `s${i}`)
    await Promise.all(names.map((name) => fileSecrets(folder).put(name, name)))

    for (const name of names) expect(await fileSecrets(folder).get(name)).toBe(name)
  })

  test('the key may be kept elsewhere', async () => {
    const keyFile = join(folder, '../elsewhere/key')
    await fileSecrets(folder, { keyFile }).put('a', 'one')

    expect(await fileSecrets(folder, { keyFile }).get('a')).toBe('one')
    expect(await sealed()).toHaveLength(1)
    expect(await readdir(folder)).toHaveLength(1)
  })
})
