import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'
import { diskStorage } from '../../shared/storage/disk.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { storageContract } from './storage.contract.ts'

storageContract(async () => {
  const { folder, remove } = await temporaryFolder()
  return { storage: diskStorage(folder), close: remove }
})

test('a finished file becomes an object without a copy', async () => {
  const { folder, remove } = await temporaryFolder()
  const storage = diskStorage(join(folder, 'storage'))
  await writeFile(join(folder, 'finished'), 'bytes')

  const taken = await storage.takeFile?.('a/b', join(folder, 'finished'))

  expect(taken).toBe(true)
  expect(Buffer.from((await storage.get('a/b'))!).toString()).toBe('bytes')
  expect(await readdir(folder)).toEqual(['storage'])
  await remove()
})
