import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'
import { temporaryFolder } from '../support/temporary-folder.ts'

const ROUNDS = 60
const child = join(import.meta.dirname, '../support/spool-child.ts')
/** Higher than any process has. */
const DEAD = `${2 ** 30}`

test.each([
  ['an empty folder', undefined],
  ['one that a killed process left', DEAD],
])('of processes that open a spool at the same moment, %s, one gets it', async (_, left) => {
  const { folder, remove } = await temporaryFolder()
  for (let round = 0; round < ROUNDS && left; round++) {
    await mkdir(join(folder, `${round}`), { recursive: true })
    await writeFile(join(folder, `${round}`, 'lock.7'), left)
  }
  const processes = Array.from({ length: 3 }, () => fork(child, [folder, `${ROUNDS}`], { execArgv: [] }))
  await Promise.all(processes.map((process) => once(process, 'message')))

  const startMs = Date.now() + 100
  for (const process of processes) process.send(startMs)
  const got = await Promise.all(processes.map(async (process) => (await once(process, 'message'))[0] as number[]))
  for (const process of processes) process.kill()
  await remove()

  expect(got.flat().sort((a, b) => a - b)).toEqual(Array.from({ length: ROUNDS }, (_, round) => round))
})
