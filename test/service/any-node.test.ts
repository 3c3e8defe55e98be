import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { expect, test } from '@jest/globals'
import { temporaryFolder } from '../support/temporary-folder.ts'

const command = join(import.meta.dirname, '../../local/lakeflow.js')
/** Makes the Node that is started take itself for an old one; its children do not inherit it. */
const old = 'data:text/javascript,Object.defineProperty(process.versions,"node",{value:"20.11.0"})'
const lakeflow = (...words: string[]) => promisify(execFile)(process.execPath, ['--import', old, command, ...words])

test('on an old Node the command runs on the pinned one', async () => {
  const { stdout } = await lakeflow('--version')

  expect(stdout).toMatch(/^lakeflow \S+, Node 24\./)
})

test('on an old Node the exit code and the error are those of the command', async () => {
  await expect(lakeflow('frob')).rejects.toMatchObject({ code: 2, stderr: expect.stringContaining('usage.invalid') })
})

test('start is the process that was started, with little room for young objects, and ends in order by its signal', async () => {
  const { folder, remove } = await temporaryFolder()
  const push = { port: 0, tables: { 'main.events.clicks': { columns: { id: 'long' } } } }
  await writeFile(join(folder, 'lakeflow.yml'), JSON.stringify({ lakehouse: './lake', push }))
  const env = { ...process.env, NODE_OPTIONS: '' }
  const child = spawn(process.execPath, [command, 'start', '--json'], { cwd: folder, env })
  const ended = once(child, 'exit')

  for await (const line of createInterface(child.stdout)) if (JSON.parse(line).type === 'listening') break
  const { stdout } = await promisify(execFile)('ps', ['-o', 'args=', '-p', `${child.pid}`])
  child.kill('SIGTERM')
  const [code] = await ended
  await remove()

  expect(stdout).toMatch(/--max-semi-space-size=8 .*main\.ts start --json/)
  expect(code).toBe(0)
})
