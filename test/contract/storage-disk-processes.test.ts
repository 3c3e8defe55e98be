import { once } from 'node:events'
import { chmod, mkdir, readdir, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { diskStorage } from '../../shared/storage/disk.ts'
import { runChild, startChild } from '../support/child.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

let folder: string
let remove: () => Promise<void>

beforeEach(async () => {
  const temporary = await temporaryFolder()
  folder = temporary.folder
  remove = temporary.remove
})
afterEach(() => remove())

const script = 'contract/port-child.ts'
const temporaryFiles = async () =>
  (await readdir(join(folder, '.lakeflow-tmp'))).filter((name) => name.endsWith('.tmp'))

test('two processes that put if absent never both win, and the object is the winner', async () => {
  const [a, b] = await Promise.all(
    [1, 2].map(() => runChild<{ pid: number; won: number[] }>(script, 'absent', folder, '200')),
  )

  expect([...a!.won, ...b!.won].sort((x, y) => x - y)).toEqual(Array.from({ length: 200 }, (_, i) => i))
  const storage = diskStorage(folder)
  for (const { pid, won } of [a!, b!]) {
    for (const i of won) expect(Buffer.from((await storage.get(`race/${i}`))!).toString()).toBe(String(pid))
  }
})

test('two processes that compare and swap lose no step', async () => {
  await Promise.all([1, 2].map(() => runChild(script, 'storage-swap', folder, '100')))

  expect(Buffer.from((await diskStorage(folder).get('counter'))!).toString()).toBe('200')
})

test('a killed writer leaves no object, and its temporary file goes with the next write', async () => {
  const child = startChild(script, 'stream', folder, '0')
  await once(child.stdout!, 'data')
  child.kill('SIGKILL')
  await once(child, 'exit')
  expect(await temporaryFiles()).toHaveLength(1)

  const storage = diskStorage(folder)
  expect(await Array.fromAsync(storage.list(''))).toEqual([])
  await storage.put('a', Buffer.from('a'))

  expect(await temporaryFiles()).toEqual([])
})

test('temporary files of the living stay; of other machines they stay for a day', async () => {
  const hidden = join(folder, '.lakeflow-tmp')
  const storage = diskStorage(folder)
  const writer = storage.writer('streamed')
  await writer.write(Buffer.from('half'))
  await writeFile(join(hidden, 'elsewhere.1.life.new.tmp'), '')
  await writeFile(join(hidden, 'elsewhere.1.life.old.tmp'), '')
  const longAgo = Date.now() / 1000 - 25 * 3600
  await utimes(join(hidden, 'elsewhere.1.life.old.tmp'), longAgo, longAgo)

  await diskStorage(folder).put('a', Buffer.from('a'))

  expect(await temporaryFiles()).toHaveLength(2)
  expect(await temporaryFiles()).toContain('elsewhere.1.life.new.tmp')
  await writer.finish()
  expect(Buffer.from((await storage.get('streamed'))!).toString()).toBe('half')
})

test('a folder that may not be written is permission_denied and names the path', async () => {
  await chmod(folder, 0o555)

  const error = await runChild<{ code: string; remedy: string; message: string }>(script, 'refused', folder, '10')

  expect(error).toMatchObject({ code: 'storage.permission_denied', remedy: 'fix' })
  expect(error.message).toContain('folder/large')
})

test('a folder is only read without a write to it', async () => {
  await mkdir(join(folder, 'sub'))
  await writeFile(join(folder, 'sub/a'), 'a')
  const storage = diskStorage(folder)

  expect(await Array.fromAsync(storage.list(''))).toMatchObject([{ path: 'sub/a' }])
  expect(await storage.get('sub/a')).toHaveLength(1)

  expect(await readdir(folder)).toEqual(['sub'])
})

test('the storage goes on when its folder is removed under it', async () => {
  const storage = diskStorage(folder)
  await storage.put('a/b', Buffer.from('1'))

  await remove()
  await storage.put('a/b', Buffer.from('2'))

  expect(await Array.fromAsync(storage.list(''))).toMatchObject([{ path: 'a/b', sizeBytes: 1 }])
})

test('an object cannot be the folder of another, nor a name be overlong', async () => {
  const storage = diskStorage(folder)
  await storage.put('a', Buffer.from('a'))

  const refused = { code: 'storage.path_invalid', remedy: 'fix' }
  await expect(storage.put('x'.repeat(256), Buffer.from('x'))).rejects.toMatchObject(refused)
  await expect(storage.put('a/b', Buffer.from('x'))).rejects.toMatchObject(refused)
  expect(await temporaryFiles()).toEqual([])
})
