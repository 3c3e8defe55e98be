import { randomUUID } from 'node:crypto'
import { readdir, rm, stat } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'

/** Tells this process from an earlier one that had its number, as in a restarted container. */
const life = randomUUID().slice(0, 8)
const host = hostname().replaceAll('.', '-')

/** A file nobody has written to for so long belongs to no one, whatever the machine. */
const forgottenAfterMs = 24 * 3600_000

/** The name of a temporary file of this process: `<host>.<process>.<life>.<id>.tmp`. */
export const temporaryName = (id: string): string => `${host}.${process.pid}.${life}.${id}.tmp`

/** Removes the temporary files of processes that are gone: those of this machine at once, others after a day. */
export async function removeLeftovers(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (!name.endsWith('.tmp')) continue
    const file = join(folder, name)
    if (isOrphan(name) || (await isForgotten(file))) await rm(file, { force: true })
  }
}

function isOrphan(name: string): boolean {
  const [itsHost, itsProcess, itsLife] = name.split('.')
  if (itsHost !== host) return false
  if (Number(itsProcess) === process.pid) return itsLife !== life
  return !isRunning(Number(itsProcess))
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // EPERM: it runs, as somebody else.
    return (error as NodeJS.ErrnoException).code !== 'ESRCH'
  }
}

async function isForgotten(file: string): Promise<boolean> {
  const info = await stat(file).catch(() => undefined)
  // The clock of the file system against the clock of the machine: both are this moment's, no run depends on them.
  return info !== undefined && Date.now() - info.mtimeMs > forgottenAfterMs
}
