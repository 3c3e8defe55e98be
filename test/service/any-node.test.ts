import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from '@jest/globals'

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
