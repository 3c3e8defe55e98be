import type { z } from 'zod'
import type { Message, Row } from '../core/change.ts'
import type { Clock } from '../core/clock.ts'
import type { Json } from '../core/json.ts'
import type { Schema } from '../schema/types.ts'
import type { Filter } from './filter.ts'

/**
 * Code for one kind of source: a typed literal whose leaves may be functions. `Config` is the connection's resolved
 * configuration, `Ctx` whatever `connect` opens. Errors leave a connector only as IngestError.
 */
export interface Connector<Config = unknown, Ctx = unknown> {
  /** Kebab-case; the `type` of a connection. */
  name: string
  title: string
  about: About
  /** Also the console's form and the options in docs/connectors.md. Secrets are marked with `.meta({ secret: true })`. */
  config: z.ZodType<Config>
  connect(config: Config, run: { clock: Clock; signal: AbortSignal }): Promise<Ctx>
  close(ctx: Ctx): Promise<void>
  /** What a person wants to know before the first run: each requirement, met or not, and what to do about it. */
  check(ctx: Ctx): Promise<readonly CheckResult[]>
  /** Everything that can be read, in a stable order; with `schema` only that schema's. */
  discover(ctx: Ctx, scope?: { catalog?: string; schema?: string; table?: string }): Promise<readonly SourceTable[]>
  /** The readable stream of one source table. Throws `source.object_missing` (fix) for a column that is not there. */
  open(ctx: Ctx, table: SourceTable, selection: Selection): Promise<Stream>
  /**
   * Lets go of what the source keeps for a pipeline (log, slots), except for these tables. To be called when tables leave
   * a pipeline, and without any when it is deleted: what nobody reads fills the source's disk.
   */
  release?(ctx: Ctx, owner: string, keep: readonly { schema: string; name: string }[]): Promise<void>
}

/**
 * What a person compares sources by: docs/connectors.md is made from it. Short texts for cells of a table, Markdown
 * without line breaks.
 */
export interface About {
  /** How one signs in. */
  auth: string
  /** What can be read. */
  objects: string
  modes: readonly ReadMode[]
  /** What a cursor is, and how it is known to be final. */
  position: string
  /** How a whole copy is read, and in which pieces. */
  snapshot: string
  /** How changes are found. */
  changes: string
  deletes: string
  /** When the source forgets what we have not read, and what follows. */
  historyLoss: string
  /** Limits of the source that are kept to, and what is not read. */
  limits: string
  /** What the tests run against, with versions; and what they do not. */
  tested: string
}

export interface CheckResult {
  requirement: string
  met: boolean
  /** What was found, and when not met, what to change: a statement to run where there is one. */
  detail: string
  /** An unmet requirement that is only advice does not fail the check. */
  advice?: boolean
}

/** One readable thing of a source, as discovery found it. */
export interface SourceTable {
  catalog?: string
  schema: string
  name: string
  columns: Schema
  /** Columns of the primary key, or of the narrowest unique not-null index; empty when there is none. */
  key: readonly string[]
  /** Columns that could be a cursor, best first. */
  cursorCandidates: readonly string[]
  /** How it can be read, best first. */
  modes: readonly ReadMode[]
  /** Estimates; undefined when the source does not say. */
  rowsEstimate?: number
  bytesEstimate?: number
  /** Columns that cannot be read, with the reason in the user's words. */
  unreadable?: readonly { column: string; reason: string }[]
}

/** `snapshot`: whole each time. `query`: rows whose cursor columns grew. `cdc`: the source's own changefeed. */
export type ReadMode = 'snapshot' | 'query' | 'cdc'

/** A table that is read by change capture. The same one may be read to several places, each a reader of its own. */
export interface Captured {
  schema: string
  name: string
  reader?: string
}

/** What a pipeline wants of a source table: pushed down to the source. */
export interface Selection {
  mode: ReadMode
  /** In destination order. The stream's schema has exactly these. */
  columns: readonly string[]
  key: readonly string[]
  cursorColumns?: readonly string[]
  filter?: Filter
  /** True for a row that counts as deleted (mode `query`). */
  deletionCondition?: Filter
  /** At most this many parallel readers of the source. */
  parallelism: number
  /** Name of the pipeline: for slots, publications, application names. */
  owner: string
  /** Names this reading of the table, among those of the owner. */
  reader?: string
  /** What this run reads by change capture, this table too: where a source has one log, one read serves them all. */
  captured?: readonly Captured[]
  /** The pipeline captures tables that this run does not read: what the source keeps for them must stay. */
  othersWait?: boolean
  /** `slot_config` of the pipeline: a publication and slot of the user's own, instead of ones that are made for it. */
  slotConfig?: { publicationName?: string; slotName?: string }
  /** Rows are only added to the table (`APPEND_ONLY`): one that is told twice stands there twice. */
  appendOnly?: boolean
  /** Called with what a user should know about the rows, such as rows that cannot be read this way. */
  notice?(text: string): void
}

export type Stream = SnapshotStream | ChangeStream

interface StreamBase {
  /** `schema.table` of the source. */
  name: string
  schema: Schema
  key: readonly string[]
}

/** A whole read where absence means delete. */
export interface SnapshotStream extends StreamBase {
  kind: 'snapshot'
  /** Independent, resumable pieces that together are the whole stream; one piece when it cannot be split. */
  split(): Promise<readonly Json[]>
  /** The rows of one piece. Ends when there are no more. Each message is an upsert or a block. */
  read(piece: Json): AsyncIterable<Message<Json>>
}

/**
 * A changefeed, and a backfill of the rows that existed before it. The law of cursors, asserted for every connector by
 * one suite: strictly increasing; only finished ticks of a clock; resume by value, never by offset; `created_at` is not
 * a cursor; rows before their checkpoint; a checkpoint never splits a source transaction; state means the same after any
 * gap; no sleeping inside a stream; ends when caught up; stops at the abort signal.
 */
export interface ChangeStream extends StreamBase {
  kind: 'changes'
  /** The newest cursor that is already final. Taken before a backfill, it is the cutoff. */
  head(): Promise<Json>
  /** Independent, resumable pieces that together hold every row that existed at `cutoff`. */
  split(cutoff: Json): Promise<readonly Json[]>
  /** One piece of the backfill. A checkpoint inside it is the piece that remains after it. */
  backfill(piece: Json, cutoff: Json): AsyncIterable<Message<Json>>
  /**
   * Changes strictly after `after`, oldest first. Returns when caught up; a checkpoint alone means "nothing until here".
   *
   * With `upToNow` all that was committed before the call is told, as a copy needs it: rows that it holds and that were told
   * after its last checkpoint would come a second time. Otherwise what was read for another table a moment ago will do.
   */
  changes(after: Json, options?: { upToNow: boolean }): AsyncIterable<Message<Json>>
  /** The engine has durably committed everything up to this cursor; the source may forget it. */
  acknowledge?(cursor: Json): Promise<void>
  /**
   * The row of a key as it is now, in the stream's columns; no message when it is gone, or the stream would not read it.
   * Key values are of the stream's types, or their text.
   */
  lookUp?(key: Row): AsyncIterable<Message<Json>>
  /** Mode `query`: every key that exists now, for finding deletes. Rows and blocks hold the key's columns only, in the key's order. */
  keys?(): AsyncIterable<Message<Json>>
  /**
   * Mode `query`: deletes before this cursor may not have been told, so keys must be compared once after this moment of the
   * machine's clock (milliseconds), whatever the pipeline's interval. Undefined when none are missing.
   */
  mustSweepSince?(cursor: Json): number | undefined
}
