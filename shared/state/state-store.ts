import type { Json } from '../core/json.ts'

/**
 * Durable, small records with conditional writes: what both SQLite and DynamoDB do well. Cursors, intents, leases,
 * sessions, runs and events are all entries; the modules beside this one give them their shapes. Reads are strongly
 * consistent. An entry is at most 256 KB as JSON. Throws only IngestError `state.unavailable` (retry).
 */
export interface StateStore {
  read(key: EntryKey): Promise<Entry | undefined>
  /** Entries of one partition in ascending byte order of `sort`, optionally only those starting with a prefix. */
  list(partition: string, options?: ListOptions): Promise<Entry[]>
  /**
   * Writes all or none (at most 25). Each write names the version it replaces: a number, or `absent`, or `any`.
   * False: some condition did not hold and nothing changed.
   */
  write(writes: readonly EntryWrite[]): Promise<boolean>
  close(): Promise<void>
}

/** Entries that are written together or listed together share a partition. */
export interface EntryKey {
  partition: string
  sort: string
}

export interface Entry extends EntryKey {
  value: Json
  /** Counts the writes of this entry, from 1. */
  version: number
}

export type EntryWrite =
  | (EntryKey & { value: Json; expect: number | 'absent' | 'any'; expiresAtMs?: number })
  | (EntryKey & { remove: true; expect: number | 'any' })

export interface ListOptions {
  prefix?: string
  after?: string
  limit?: number
  /** Newest-first listings: descending order of `sort`; `after` then means before. */
  descending?: boolean
}
