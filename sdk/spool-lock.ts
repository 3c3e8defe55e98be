import { link, readdir, readFile, realpath, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ZerobusError } from './errors.ts'

/** Folders in use by this process. */
const held = new Set<string>()

/**
 * Keeps other streams out of a folder: two would number their records alike. Returns what lets them in again. What a process
 * that is gone left behind holds nobody back.
 *
 * The lock is the file `lock.<n>` of the highest n; in it is the process that has it, or nothing. To take it is to make the
 * next one, which only one process can, however many find it free at the same moment.
 *
 * @throws ZerobusError `push.spool_failed`
 */
export async function lockFolder(folder: string): Promise<() => Promise<void>> {
  const path = await realpath(folder)
  if (held.has(path)) throw inUse(folder, process.pid)
  held.add(path)
  try {
    const lock = await take(path)
    return async () => {
      held.delete(path)
      // Left to say which number was the last.
      await writeFile(lock, '')
    }
  } catch (error) {
    held.delete(path)
    throw error
  }
}

async function take(folder: string): Promise<string> {
  const claim = join(folder, `claim.${process.pid}`)
  await writeFile(claim, `${process.pid}`)
  try {
    for (;;) {
      const last = (await locksIn(folder)).at(-1) ?? 0
      const owner = Number(await readFile(lockFile(folder, last), 'utf8').catch(() => ''))
      // After a restart in a container our own number may be in it.
      if (owner > 0 && owner !== process.pid && isRunning(owner)) throw inUse(folder, owner)
      const next = lockFile(folder, last + 1)
      if (!(await linked(claim, next))) continue
      const [newest, ...older] = (await locksIn(folder)).reverse()
      if (newest === last + 1) {
        for (const number of older) await rm(lockFile(folder, number), { force: true })
        return next
      }
      // Others have taken it and gone on while we looked.
      await rm(next, { force: true })
    }
  } finally {
    await rm(claim, { force: true })
  }
}

/** The numbers of the locks, ascending. */
async function locksIn(folder: string): Promise<number[]> {
  const found = (await readdir(folder)).flatMap((name) => /^lock\.(\d+)$/.exec(name)?.[1] ?? [])
  return found.map(Number).sort((a, b) => a - b)
}

const lockFile = (folder: string, number: number) => join(folder, `lock.${number}`)

async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

const inUse = (folder: string, owner: number) =>
  new ZerobusError(
    'push.spool_failed',
    `the spool ${folder} is in use by process ${owner}; give each stream a folder of its own, or remove its files lock.*`,
  )
