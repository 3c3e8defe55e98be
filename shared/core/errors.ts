/** What happens next after an error: who acts, and what the engine does (docs/architecture.md, "Errors"). */
export type Remedy = 'fix' | 'retry' | 'resync' | 'quarantine' | 'report'

/**
 * Every way ingestion can fail. The comment of a code is its article in docs/runbook.md: the first sentence says what
 * happened, the rest what to do. Codes are stable for ever; the word before the dot is the family.
 */
export const errorCodes = {
  /** The command line was not understood. Run `lakeflow --help`, or the command with `--help`, and try again. */
  'usage.invalid': 'fix',
  /** A configuration file has an unknown key, a wrong type or a missing value. The message names the line and the nearest known key. */
  'config.invalid': 'fix',
  /** A `${env:}`, `${file:}` or `${secret:}` reference points at nothing. Set the variable, create the file, or store the secret. */
  'config.secret_missing': 'fix',
  /** A stored secret cannot be decrypted: its key is missing or another, or its file was changed. Restore the key, or store the secret again. */
  'secrets.unreadable': 'fix',
  /** The port is taken. Stop the other program, or choose another port: `--port` for the API, `push.port` in lakeflow.yml or `--push-port` of `npm start` for the push server. */
  'local.port_in_use': 'fix',
  /** The built-in PostgreSQL, which the demo and the tests use, did not start. The message holds the server's own words. */
  'local.postgres_failed': 'fix',

  /** The source could not be reached. Nothing to do if it passes; otherwise check host, port, firewall and that the server runs. */
  'source.unreachable': 'retry',
  /** The source refused the credentials. Replace them in the connection, then run the pipeline again. */
  'source.auth_rejected': 'fix',
  /** No encrypted connection that both sides accept. Correct the TLS settings of the connection or of the server. */
  'source.tls_rejected': 'fix',
  /** The source's user lacks a right. The message names the right and the statement that grants it. */
  'source.permission_denied': 'fix',
  /** A selected table, column or object does not exist in the source. Correct the name, or drop it from the selection. */
  'source.object_missing': 'fix',
  /** A whole read of the source lacks more of the table's rows than the pipeline lets it delete at once. If they were deleted, run a full refresh of the stream; if not, look at the source's rights and filters. */
  'source.shrunk': 'fix',
  /** The columns of `primary_keys` do not name one row each. Add columns until they do, or keep every row with `scd_type: APPEND_ONLY`. */
  'source.key_not_unique': 'fix',
  /** The source asked us to slow down. Nothing to do; reads continue by themselves. */
  'source.throttled': 'retry',
  /** The run or the connection has used the calls of the source it may. The next run goes on from here; raise the limit of the connection, or run less often. */
  'source.quota_spent': 'fix',
  /** The source failed for a reason of its own. Reads are tried again; look at the source if it lasts. */
  'source.unavailable': 'retry',
  /** The source no longer has the changes after our cursor. The stream is being copied again in full. */
  'source.position_lost': 'resync',
  /** The source's rows were changed in a way that no changefeed tells of, such as a truncation or a rewritten column. The stream is being copied again in full. */
  'source.rewritten': 'resync',
  /** The source answered with something its documentation does not allow. Keep the message and report it. */
  'source.protocol_violation': 'report',

  /** A value does not fit its column's type. The row is in the quarantine table with the reason. */
  'row.unrepresentable': 'quarantine',
  /** More rows were quarantined than the pipeline allows. Fix the rows or the limit, then run the pipeline again. */
  'row.quarantine_limit': 'fix',

  /** Storage did not answer, or answered with a passing fault. Tried again by itself. */
  'storage.unavailable': 'retry',
  /** Storage is full. Free some space; the next run continues from the last commit. */
  'storage.full': 'fix',
  /** The lakehouse cannot be read or written with these rights. Grant them, or choose another place. */
  'storage.permission_denied': 'fix',
  /** A bucket, table or queue of the deployment does not exist under its name or in this region. Deploy it, or correct the setting. */
  'storage.missing': 'fix',
  /** A path leaves the lakehouse (`..`), has an empty or overlong part, or is the folder of another. Choose another name. */
  'storage.path_invalid': 'fix',

  /** The table uses a protocol version or feature this program does not know. Upgrade this program, or disable the feature. */
  'table.unsupported_feature': 'fix',
  /** The table's log breaks the Delta protocol. Restore the missing or damaged file the message names. */
  'table.corrupt': 'fix',
  /** The SQL could not be run. The message is the engine's; the README shows how tables and versions are named. */
  'query.invalid': 'fix',
  /** There is no table at this name or version. The message lists what there is. */
  'table.missing': 'fix',
  /** The table changed in a way that this write cannot be laid on top of. The run is planned again from the new version. */
  'table.schema_changed': 'retry',
  /** A source column is new, gone, renamed or of another type, and `schema_drift` of its table freezes that. The message says which and what it was. Set the policy to `evolve`, exclude the column, or run a full refresh of the table, which takes the source as it is. */
  'table.schema_frozen': 'fix',
  /** A source column has a type now that the table's column cannot hold. The stream is being copied again in full. */
  'table.type_changed': 'resync',
  /** The stream has to be copied again in full, and the table's `auto_full_refresh_policy` does not let that begin by itself. Run the pipeline with `--full-refresh` of the table. */
  'table.refresh_needed': 'fix',
  /** The table no longer holds what was committed to it: it was dropped, or restored to an older version. The stream is being copied again in full. */
  'table.rewound': 'resync',
  /** The table exists and was not made by this pipeline. Choose another destination, or drop the table. */
  'table.name_taken': 'fix',
  /** Too many other writers won the race for the next version. Tried again by itself. */
  'table.contended': 'retry',

  /** A merge or query needs more memory than the engine may use. Raise its memory setting, or let runs commit more often. */
  'engine.out_of_memory': 'fix',

  /** Another process holds the lease of this stream. Wait for it, or stop it; a lease of a dead process expires by itself. */
  'state.lease_held': 'retry',
  /** The state store did not answer. Tried again by itself. */
  'state.unavailable': 'retry',
  /** Stored state could not be understood by this version. Upgrade, or run a full refresh of the stream. */
  'state.invalid': 'fix',

  /** The durable buffer of push did not answer. Producers hold their events and send them again by themselves. */
  'queue.unavailable': 'retry',
  /** The durable buffer of push is full. Producers are held back until it drains; free disk space if it lasts. */
  'queue.full': 'retry',
  /** A file of the durable buffer of push is damaged before its end. Restore the file the message names, or move it away and lose its events. */
  'queue.corrupt': 'fix',

  /** A frame or request of the push protocol was not understood. Send what docs/protocol.md describes. */
  'push.frame_invalid': 'fix',
  /** The producer speaks a version of the push protocol this server does not. Upgrade the older of the two. */
  'push.version_unsupported': 'fix',
  /** A message, record or batch is over the server's limit, which the `opened` frame tells. Send smaller ones. */
  'push.too_large': 'fix',
  /** A batch begins after the next expected offset, so records in between are missing. Send every record in order. */
  'push.offset_gap': 'fix',
  /** A batch holds both old and new records. Resend whole batches, or begin at the expected offset. */
  'push.offset_overlap': 'fix',
  /** A batch holds another number of records than its `count` says. Count the records of the rows sent. */
  'push.count_mismatch': 'fix',
  /** There is no session of this id for this token and table, or it has expired. Begin a new session. */
  'push.session_unknown': 'fix',
  /** The session was resumed on another connection. Use one connection per session; the newest one goes on. */
  'push.session_taken': 'fix',
  /** A batch names a version of the table's schema that does not exist. Leave `schemaVersion` out, or name one the server told. */
  'push.schema_version_unknown': 'fix',
  /** The table's columns were dropped or changed type since these events were checked. A producer leaves `schemaVersion` out. Events that were acknowledged before are kept under `_dead_letters/` of the lakehouse with this reason: make the table fit them again, or edit the files, then run `lakeflow push TABLE --dead-letters`. */
  'push.table_changed': 'fix',
  /** No token, a wrong one or an expired one. Connect again with a token of the configured issuer. */
  'push.unauthenticated': 'fix',
  /** The token does not have this right on this table, or there is no such table. Ask for a token that has it. */
  'push.not_permitted': 'fix',
  /** The keys of the token issuer could not be read. Producers connect again by themselves; look at the issuer if it lasts. */
  'push.issuer_unreachable': 'retry',
  /** The token has as many sessions or sends as fast as it may. Producers are held back by themselves; raise the quota if it lasts. */
  'push.quota_exceeded': 'retry',
  /** The push server could not be reached, or the connection was lost for longer than allowed. Check that it runs, then send again. */
  'push.unreachable': 'retry',
  /** The server is closing. Producers resume on another one, or on this one when it is back, by themselves. */
  'push.draining': 'retry',

  /** A promise this program makes to itself was broken. Please report it with the stack. */
  'bug.invariant': 'report',
} as const satisfies Record<string, Remedy>

export type ErrorCode = keyof typeof errorCodes

export interface IngestErrorOptions {
  /** The native error, translated once at the edge. */
  cause?: unknown
  /** With remedy `retry`: how long the other side asked us to wait, in milliseconds. */
  retryAfterMs?: number
}

/**
 * The one error class. The message is lower case and says what was got, what was wanted and what to change, in the
 * user's words; it never holds a secret or row content.
 */
export class IngestError extends Error {
  override readonly name = 'IngestError'
  readonly code: ErrorCode
  readonly retryAfterMs: number | undefined

  constructor(code: ErrorCode, message: string, options: IngestErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.retryAfterMs = options.retryAfterMs
  }

  get remedy(): Remedy {
    return errorCodes[this.code]
  }
}

/** The error as one of ours: itself, or `bug.invariant` around anything the edges failed to translate. */
export function asIngestError(error: unknown): IngestError {
  if (error instanceof IngestError) return error
  return new IngestError('bug.invariant', error instanceof Error ? error.message : String(error), { cause: error })
}

/** Throws `bug.invariant` (report) unless the condition holds. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new IngestError('bug.invariant', message)
}
