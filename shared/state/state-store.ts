import type { Json } from '../core/json.ts'

/**
 * Durable, small records with conditional writes: what both SQLite and DynamoDB do well. Cursors, intents, leases,
 * sessions, runs and events are all entries; the modules beside this one give them their shapes. Reads are strongly
 * consistent. An entry is at most 256 KB as JSON. Throws only IngestError: `state.unavailable` (retry), after which the
 * outcome of a write is unknown; `state.invalid`, `storage.full`, `storage.permission_denied`, `storage.missing` (fix).
 */
export interface StateStore {
  read(key: EntryKey): Promise<Entry | undefined>
  /** Entries of one partition in ascending byte order of `sort`, optionally only those starting with a prefix. */
  list(partition: string, options?: ListOptions): Promise<Entry[]>
  /**
   * Writes all or none (at most 25, each to another entry). Each write names the version it replaces: a number, or
   * `absent`, or `any`. Returns the new version of each entry (0 of a removed one), in order; undefined when some
   * condition did not hold and nothing changed.
   */
  write(writes: readonly EntryWrite[]): Promise<readonly number[] | undefined>
  close(): Promise<void>
}

/** Entries that are written together or listed together share a partition. */
export interface EntryKey {
  partition: string
  sort: string
}

export interface Entry extends EntryKey {
  value: Json
  /**
   * Another number with each write of this entry, also across its removal and expiry, so that whoever slept through those
   * cannot take the new entry for the one it read. Only equality means anything.
   */
  version: number
}

export type EntryWrite =
  /** From `expiresAtMs` on the entry is absent to every read and condition. Without it the entry stays. */
  | (EntryKey & { value: Json; expect: number | 'absent' | 'any'; expiresAtMs?: number })
  | (EntryKey & { remove: true; expect: number | 'any' })

export interface ListOptions {
  prefix?: string
  after?: string
  limit?: number
  /** Newest-first listings: descending order of `sort`; `after` then means before. */
  descending?: boolean
}
