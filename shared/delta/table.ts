import type { Schema } from '../schema/types.ts'
import type { AddFile, CdcFile, DomainMetadata, Metadata, Protocol, RemoveFile, Txn } from './actions.ts'

/** A table at one version, complete and immutable. `root` is its path in storage, without a trailing slash. */
export interface TableSnapshot {
  readonly root: string
  readonly version: number
  /** Of the version's commit: in-commit timestamp when enabled, else when its file was written, by storage or by the writer. */
  readonly timestampMs: number
  readonly protocol: Protocol
  readonly metadata: Metadata
  readonly schema: Schema
  /** Live files by their path and deletion vector. */
  readonly files: ReadonlyMap<string, AddFile>
  /** Removed files, with when; for vacuum. */
  readonly tombstones: ReadonlyMap<string, RemoveFile>
  readonly txns: ReadonlyMap<string, Txn>
  readonly domains: ReadonlyMap<string, DomainMetadata>
}

/** What one commit does to a table. All of it becomes visible together. */
export interface TableChange {
  /** As Delta names it: `WRITE`, `MERGE`, `OPTIMIZE`, `CREATE TABLE`, `STREAMING UPDATE`... */
  operation: string
  operationParameters?: Readonly<Record<string, unknown>>
  add?: readonly AddFile[]
  remove?: readonly AddFile[]
  cdc?: readonly CdcFile[]
  /** The whole new metadata or protocol, where they change. */
  metadata?: Metadata
  protocol?: Protocol
  txn?: Txn
  domainMetadata?: readonly DomainMetadata[]
  /**
   * What the change was computed from, which decides what may be laid on top of a newer version: `nothing` (a blind
   * append), `files` (exactly the removed files: compaction), or `table`.
   */
  reads: 'nothing' | 'files' | 'table'
}

/** A commit conflict is a value, not an error. */
export type CommitResult =
  | { kind: 'committed'; snapshot: TableSnapshot }
  /** The log already has this change's `txn`: at `version` or before it. Nothing was added. */
  | { kind: 'duplicate'; version: number }
  /** A newer version makes the change invalid. Read again and decide again. */
  | { kind: 'conflict'; version: number; reason: string }
