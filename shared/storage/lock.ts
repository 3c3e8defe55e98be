import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import { IngestError } from '../core/errors.ts'

/** One holder at a time among all processes that name the same file. */
export interface FileLock {
  /** Runs `section`, which is synchronous so that the lock is held for microseconds. @throws IngestError `storage.unavailable` */
  hold<T>(section: () => T): Promise<T>
}

/** How long to wait for other holders, which only a stopped process can exceed. */
const waitMs = 30_000

/** SQLITE_BUSY */
const busy = 5

/**
 * The lock is SQLite's write lock on a file that stays empty: Node has no flock of its own, and the kernel takes this one
 * back the moment its process dies, so no lock is ever stale (decision 0001).
 */
export function fileLock(file: string): FileLock {
  let database: DatabaseSync | undefined

  function acquired(): boolean {
    database ??= new DatabaseSync(file, { timeout: 0 })
    try {
      database.exec('BEGIN IMMEDIATE')
      return true
    } catch (error) {
      if ((error as { errcode?: number }).errcode === busy) return false
      // SQLite notices when the file it has open is no longer the one of that name: the next try opens it anew.
      database.close()
      database = undefined
      throw error
    }
  }

  return {
    async hold(section) {
      let failed = false
      for (let waited = 0; ; ) {
        try {
          if (acquired()) break
        } catch (error) {
          if (failed) throw error
          failed = true
          continue
        }
        if (waited > waitMs) {
          throw new IngestError('storage.unavailable', `another process has held ${file} for ${waitMs / 1000} s`)
        }
        const pause = 1 + Math.random() * Math.min(20, waited)
        await sleep(pause)
        waited += pause
      }
      try {
        return section()
      } finally {
        database?.exec('ROLLBACK')
      }
    },
  }
}

/**
 * Takes the lock for as long as the process lives or until the returned function is called; undefined when another process
 * has it. @throws the native error of SQLite
 */
export function holdFile(file: string): (() => void) | undefined {
  const database = new DatabaseSync(file, { timeout: 0 })
  try {
    database.exec('BEGIN IMMEDIATE')
    return () => database.close()
  } catch (error) {
    database.close()
    if ((error as { errcode?: number }).errcode === busy) return undefined
    throw error
  }
}
