import { spawn } from 'node:child_process'
import { copyFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { expect, test } from '@jest/globals'
import { diskStorage } from '../../shared/storage/disk.ts'
import { rowsOf } from '../support/push.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const root = join(import.meta.dirname, '../..')

test('npm start pushes clicks until Ctrl-C, every acknowledged one is in the table, and the next start adds to them', async () => {
  const { folder, remove } = await temporaryFolder()
  try {
    await copyFile(join(root, 'lakeflow.yml'), join(folder, 'lakeflow.yml'))
    const lake = diskStorage(join(folder, 'lakehouse'))

    const first = await demoUntil(folder, /the shop changed .* clicks pushed/)
    const rowsAfterFirst = (await rowsOf(lake)).length
    const second = await demoUntil(folder, /the shop changed .* clicks pushed/)
    const rowsAfterSecond = (await rowsOf(lake)).length

    expect(first).toMatchObject({ code: 0, errors: '' })
    expect(second).toMatchObject({ code: 0, errors: '' })
    expect(first.acknowledged).toBeGreaterThan(300)
    expect(rowsAfterFirst).toBe(first.acknowledged)
    expect(rowsAfterSecond).toBe(first.acknowledged + second.acknowledged)
  } finally {
    await remove()
  }
})

/** Runs the demo until it prints this, then presses Ctrl-C. A process it left behind would hold its output open. */
async function demoUntil(folder: string, wanted: RegExp) {
  const child = spawn(process.execPath, [join(root, 'local/demo.ts'), '--port', '0', '--push-port', '0'], {
    cwd: folder,
    env: { ...process.env, NODE_OPTIONS: '--disable-warning=ExperimentalWarning' },
  })
  const exited = new Promise<number | null>((resolve) => child.on('close', resolve))
  const errors = text(child.stderr)
  let acknowledged = 0
  for await (const line of createInterface(child.stdout)) {
    if (wanted.test(line)) child.kill('SIGINT')
    const total = /^([\d,]+) clicks pushed, every one acknowledged$/.exec(line)?.[1]
    if (total) acknowledged = Number(total.replaceAll(',', ''))
  }
  return { code: await exited, acknowledged, errors: await errors }
}
