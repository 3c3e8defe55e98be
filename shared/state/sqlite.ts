import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { type Clock, systemClock } from '../core/clock.ts'
import { IngestError } from '../core/errors.ts'
import { checkKey, checkWrites, encodeValue } from './check.ts'
import type { Entry, EntryKey, EntryWrite, StateStore } from './state-store.ts'

/**
 * One SQLite file as the state store; any number of processes may share it. A write is on disk when its promise
 * resolves; writes made in one turn of the event loop share one transaction and its fsync.
 *
 * @throws IngestError `storage.permission_denied`, `state.invalid` (fix) when the file cannot be opened as one of ours
 */
export function sqliteState(file: string, { clock = systemClock }: { clock?: Clock } = {}): StateStore {
  const database = openDatabase(file)
  const select = database.prepare(
    'SELECT value, version, expires_at_ms AS expiresAtMs FROM entries WHERE partition = ? AND sort = ?',
  )
  const upsert = database.prepare('INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?)')
  const remove = database.prepare('DELETE FROM entries WHERE partition = ? AND sort = ?')
  const retire = database.prepare('UPDATE retired SET version = max(version, ?)')
  const retired = database.prepare('SELECT version FROM retired')
  const expired = database.prepare(
    'SELECT partition, sort, version FROM entries WHERE expires_at_ms <= ? ORDER BY expires_at_ms LIMIT 100',
  )

  let waiting: Waiting[] = []

  function find({ partition, sort }: EntryKey, now: number) {
    const row = select.get(partition, sort) as Row | undefined
    return row && (row.expiresAtMs === null || row.expiresAtMs > now) ? row : undefined
  }

  function drop({ partition, sort }: EntryKey, version: number): void {
    retire.run(version)
    remove.run(partition, sort)
  }

  function apply(write: EncodedWrite, now: number): number {
    const old = find(write, now)
    if ('remove' in write) {
      if (old) drop(write, old.version)
      return 0
    }
    const gone = old ? undefined : (select.get(write.partition, write.sort) as Row | undefined)
    if (gone) drop(write, gone.version)
    const version = (old ?? (retired.get() as { version: number })).version + 1
    upsert.run(write.partition, write.sort, write.text, version, write.expiresAtMs ?? null)
    return version
  }

  function holds(write: EntryWrite, now: number): boolean {
    const version = find(write, now)?.version
    return write.expect === 'any' || version === (write.expect === 'absent' ? undefined : write.expect)
  }

  /** One transaction for all that wait. A call whose condition fails writes nothing and does not disturb the others. */
  function drain(): void {
    const calls = waiting
    waiting = []
    if (calls.length === 0) return
    try {
      const results = inTransaction(database, () => {
        const now = clock.now()
        for (const row of expired.all(now) as unknown as Entry[]) drop(row, row.version)
        return calls.map(({ writes }) =>
          writes.every((write) => holds(write, now)) ? writes.map((write) => apply(write, now)) : undefined,
        )
      })
      calls.forEach((call, i) => {
        call.resolve(results[i])
      })
    } catch (error) {
      const translated = stateError(error, file)
      for (const call of calls) call.reject(translated)
    }
  }

  return {
    async read(key) {
      checkKey(key)
      return translated(file, () => {
        const row = find(key, clock.now())
        return row && { partition: key.partition, sort: key.sort, value: decode(row.value, key), version: row.version }
      })
    },

    async list(partition, { prefix = '', after, limit, descending = false } = {}) {
      return translated(file, () => {
        const rows = database
          .prepare(
            `SELECT partition, sort, value, version FROM entries
             WHERE partition = :partition AND sort >= :prefix AND substr(sort, 1, length(:prefix)) = :prefix
               AND (:after IS NULL OR sort ${descending ? '<' : '>'} :after)
               AND (expires_at_ms IS NULL OR expires_at_ms > :now)
             ORDER BY sort ${descending ? 'DESC' : 'ASC'} LIMIT :limit`,
          )
          .all({ partition, prefix, after: after ?? null, now: clock.now(), limit: limit ?? -1 })
        return (rows as unknown as (EntryKey & Row)[]).map(({ partition, sort, value, version }) => ({
          partition,
          sort,
          value: decode(value, { partition, sort }),
          version,
        }))
      })
    },

    write(writes) {
      return new Promise((resolve, reject) => {
        checkWrites(writes)
        // Encoded now: the caller may change the value later, and one that cannot be stored fails its own call only.
        const encoded = writes.map((write) =>
          'remove' in write ? write : { ...write, text: encodeValue(write.value) },
        )
        if (waiting.push({ writes: encoded, resolve, reject }) === 1) setImmediate(drain)
      })
    },

    async close() {
      drain()
      if (database.isOpen) database.close()
    },
  }
}

type EncodedWrite = EntryWrite & ({ remove: true } | { text: string })

interface Waiting {
  writes: readonly EncodedWrite[]
  resolve(versions: number[] | undefined): void
  reject(error: unknown): void
}

interface Row {
  value: string
  version: number
  expiresAtMs: number | null
}

/** Of the file's own layout. A file of a later one is refused. */
const formatVersion = 1

function openDatabase(file: string): DatabaseSync {
  let database: DatabaseSync | undefined
  try {
    mkdirSync(dirname(file), { recursive: true })
    database = new DatabaseSync(file, { timeout: 10_000 })
    const { user_version: found } = database.prepare('PRAGMA user_version').get() as { user_version: number }
    if (found > formatVersion) {
      throw new IngestError('state.invalid', `${file} has format ${found}, this version knows up to ${formatVersion}`)
    }
    useWal(database)
    database.exec('PRAGMA synchronous = FULL')
    const opened = database
    if (found < formatVersion) inTransaction(opened, () => opened.exec(layout))
    return opened
  } catch (error) {
    database?.close()
    throw stateError(error, file)
  }
}

const layout = `
  CREATE TABLE IF NOT EXISTS entries (
    partition TEXT NOT NULL, sort TEXT NOT NULL, value TEXT NOT NULL, version INTEGER NOT NULL, expires_at_ms INTEGER,
    PRIMARY KEY (partition, sort)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS expiry ON entries (expires_at_ms) WHERE expires_at_ms IS NOT NULL;
  CREATE TABLE IF NOT EXISTS retired (one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL) STRICT;
  INSERT OR IGNORE INTO retired VALUES (1, 0);
  PRAGMA user_version = ${formatVersion};
`

const busy = 5

/** The switch to WAL does not wait for other processes that switch at the same moment, so it is tried again. */
function useWal(database: DatabaseSync): void {
  for (let attempt = 1; ; attempt++) {
    try {
      database.exec('PRAGMA journal_mode = WAL')
      return
    } catch (error) {
      if (errcodeOf(error) !== busy || attempt === 100) throw error
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20)
    }
  }
}

function inTransaction<T>(database: DatabaseSync, work: () => T): T {
  database.exec('BEGIN IMMEDIATE')
  try {
    const result = work()
    database.exec('COMMIT')
    return result
  } catch (error) {
    if (database.isTransaction) database.exec('ROLLBACK')
    throw error
  }
}

function decode(text: string, { partition, sort }: EntryKey) {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new IngestError('state.invalid', `the entry ${partition} / ${sort} is not JSON`, { cause: error })
  }
}

function translated<T>(file: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    throw stateError(error, file)
  }
}

/** The low byte is SQLite's primary result code. */
const errcodeOf = (error: unknown): number => ((error as { errcode?: number }).errcode ?? 0) & 0xff

/** SQLite's result codes (sqlite.org/rescode.html) as ours. */
function stateError(error: unknown, file: string): IngestError {
  if (error instanceof IngestError) return error
  const message = `state file ${file}: ${error instanceof Error ? error.message : String(error)}`
  const code = (error as NodeJS.ErrnoException).code
  switch (errcodeOf(error)) {
    case 3: // PERM
    case 8: // READONLY
    case 14: // CANTOPEN
      return new IngestError('storage.permission_denied', message, { cause: error })
    case 13: // FULL
      return new IngestError('storage.full', message, { cause: error })
    case 11: // CORRUPT
    case 26: // NOTADB
      return new IngestError('state.invalid', message, { cause: error })
    default:
      if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') {
        return new IngestError('storage.permission_denied', message, { cause: error })
      }
      return new IngestError('state.unavailable', message, { cause: error })
  }
}
