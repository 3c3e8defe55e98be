import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { diskStorage } from '../../shared/storage/disk.ts'
import { rowsOf } from '../support/push.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const TABLE = 'main.events.clicks'
const main = join(import.meta.dirname, '../../local/main.ts')

const env = { ...process.env, NODE_OPTIONS: '' }
let folder = ''
let remove = async () => {}
let running: ChildProcess[] = []
beforeEach(async () => {
  ;({ folder, remove } = await temporaryFolder())
  running = []
  const spec = { lakehouse: './lake', push: { port: 1, tables: { [TABLE]: { columns: { id: 'long not null' } } } } }
  await writeFile(join(folder, 'lakeflow.yml'), JSON.stringify(spec))
})
afterEach(async () => {
  for (const child of running) child.kill('SIGKILL')
  await remove()
})

function push(...args: string[]) {
  const child = spawn(process.execPath, [main, 'push', TABLE, ...args], { cwd: folder, env })
  running.push(child)
  const said = { text: '' }
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (data) => {
      said.text += data
    })
  return { child, said, ended: once(child, 'exit').then(([code]) => code as number | null) }
}

const records = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => `{"id":${from + i}}\n`).join('')

/** The session of a send is on disk before its first record is sent. */
async function begun() {
  const sends = join(folder, 'lake/.lakeflow/sends')
  for (let i = 0; i < 1000; i++) {
    if ((await readdir(sends).catch(() => [])).some((name) => name.endsWith('.json'))) return
    await sleep(10)
  }
  throw new Error('no send was begun')
}

async function ids() {
  const rows = await rowsOf(diskStorage(join(folder, 'lake')), TABLE)
  return rows.map(({ id }) => Number(id)).sort((a, b) => a - b)
}

const upTo = (count: number) => Array.from({ length: count }, (_, i) => i)

test('a file whose send is killed again and again is in the table once when the command is run to its end', async () => {
  const count = 200_000
  await writeFile(join(folder, 'clicks.ndjson'), records(0, count))

  for (const afterMs of [0, 150, 400]) {
    const killed = push('clicks.ndjson')
    await begun()
    await sleep(afterMs)
    killed.child.kill('SIGKILL')
    await killed.ended
  }
  const last = push('clicks.ndjson')

  expect({ code: await last.ended, said: last.said.text }).toEqual({
    code: 0,
    said: expect.stringMatching(`${count} records are in ${TABLE}`),
  })
  expect(await ids()).toEqual(upTo(count))
  expect(await readdir(join(folder, 'lake/.lakeflow/sends'))).toEqual([])
})

test('standard input with a name goes on where it was killed, and without one is sent as it comes', async () => {
  const killed = push('--name', 'monday')
  killed.child.stdin.write(records(0, 500))
  await begun()
  // By then the server has noted how far the session is.
  await sleep(3500)
  killed.child.kill('SIGKILL')
  await killed.ended

  const again = push('--name', 'monday')
  again.child.stdin.end(records(0, 1000))
  const code = await again.ended
  const plain = push()
  plain.child.stdin.end(records(1000, 1010))
  await plain.ended

  expect({ code, said: again.said.text }).toMatchObject({
    code: 0,
    said: expect.stringMatching(/going on after \d+ rec/),
  })
  expect(await ids()).toEqual(upTo(1010))
})

test('a file that changed since its send was killed is refused, until told to send all of it', async () => {
  const file = join(folder, 'clicks.ndjson')
  await writeFile(file, records(0, 100_000))
  const killed = push('clicks.ndjson')
  await begun()
  killed.child.kill('SIGKILL')
  await killed.ended
  await writeFile(file, records(0, 10))
  await utimes(file, new Date(), new Date(Date.now() + 5000))

  const refused = push('clicks.ndjson')
  const code = await refused.ended
  const told = push('clicks.ndjson', '--again')

  expect({ code, said: refused.said.text }).toMatchObject({
    code: 2,
    said: expect.stringMatching(/has changed since.*--again/s),
  })
  expect(await told.ended).toBe(0)
})

test.each(['.', 'nothing.ndjson'])('%s for a file is refused as what it is', async (path) => {
  const refused = push(path)

  expect(await refused.ended).toBe(2)
  expect(refused.said.text).toMatch(/usage.invalid: .* cannot be read: (it is a folder|ENOENT)/)
})
