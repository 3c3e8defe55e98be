import type { Clock } from '../core/clock.ts'
import { IngestError } from '../core/errors.ts'
import type { Random } from '../core/random.ts'
import { hasChangeFeed } from '../delta/change-feed.ts'
import { physicalName } from '../delta/column-mapping.ts'
import type { TableChange, TableSnapshot } from '../delta/table.ts'
import { findField } from '../schema/names.ts'
import type { Field } from '../schema/types.ts'
import type { Storage } from '../storage/storage.ts'
import { ABSENT, DELETED, type StagedFile } from './changes.ts'
import type { Engine } from './engine.ts'
import { foldHistory } from './history.ts'
import { END_AT, START_AT } from './history-columns.ts'
import { type Replacement, replaceRows } from './rewrite.ts'
import { placeable } from './sequence.ts'
import { remember } from './sidecar.ts'
import { changesSince } from './snapshot-changes.ts'
import type { RejectedRow } from './stage.ts'
import { foldUpserts } from './upsert.ts'
import { type Changes, changeRows, followedBy, openChanges, openWorkspace, type Workspace } from './workspace.ts'

/** How changes are laid on a table. Names are the table's column names. */
export interface MergeSpec {
  mode: 'SCD_TYPE_1' | 'SCD_TYPE_2'
  /** At least one. */
  keys: readonly string[]
  /**
   * Columns that order the changes of a key, compared left to right: the highest wins whatever the arrival order. None:
   * the order of arrival.
   */
  sequenceBy: readonly string[]
  /**
   * What was staged. `changes`, the default; `snapshot`: every row of the source, and a key that is not there was deleted;
   * `keys`: every key of the source, for its deletes alone.
   */
  staged?: 'changes' | 'snapshot' | 'keys'
  /** With a snapshot or keys: the share of the table's rows that may be missing at once. Default 0.5. */
  maxShrink?: number
  /** With a snapshot or keys: the command that lets one through that lacks more, for the message. */
  letThrough?: string
  /** With a snapshot: changes since it was begun, laid on what it makes. */
  since?: readonly StagedFile[]
  /** How long a delete with a sequence is remembered, to turn away older changes that come late. Default a week. */
  tombstoneRetentionMs?: number
}

const TOMBSTONE_RETENTION_MS = 7 * 86_400_000

export interface MergePorts {
  storage: Storage
  engine: Engine
  clock: Clock
  random: Random
}

export interface MergeResult {
  /** Without `txn`. */
  change: TableChange
  counts: MergeCounts
  /** Changes that cannot be placed, for the quarantine; of very many, the first. */
  rejected: readonly RejectedRow[]
}

/** More rows than this never go to the quarantine at once: a stream with so many stops. */
const MAX_REJECTED = 10_000

export interface MergeCounts extends Omit<Replacement, 'add' | 'remove' | 'cdc'> {
  filesRewritten: number
  filesAdded: number
  /** Changes without a key or a sequence. */
  rejected: number
}

/**
 * The change that lays staged changes on a table. The table's files are only read and new ones only written: nothing is
 * visible before the change is committed, and calling again after a conflict or a crash is safe.
 *
 * @throws IngestError `config.invalid` (fix) for a key or sequence column the table does not have
 * @throws IngestError `source.shrunk` (fix) when a snapshot lacks more of the table's rows than `maxShrink`
 * @throws IngestError `engine.out_of_memory` (fix), `storage.unavailable` (retry)
 */
export async function merge(
  table: TableSnapshot,
  staged: readonly StagedFile[],
  spec: MergeSpec,
  { storage, engine, ...ports }: MergePorts,
): Promise<MergeResult> {
  const keys = columnsOf(table, spec.keys, 'primary_keys')
  const sequence = columnsOf(table, spec.sequenceBy, 'sequence_by')
  requirePlainPartitions(table)
  return engine.session(async (session) => {
    const work = await openWorkspace(session, table, { storage, random: ports.random })
    const arrived = await openChanges(work, staged)
    const since = await openChanges(work, spec.since ?? [])
    const changes =
      spec.staged && spec.staged !== 'changes'
        ? followedBy(await changesSince(work, arrived, keys, { ...spec, staged: spec.staged, since }), since)
        : arrived
    const history = spec.mode === 'SCD_TYPE_2'
    const { rejected, memories } = history
      ? await foldHistory(work, changes, { keys, sequence, tracked: trackedFields(table, keys, sequence) }, ports)
      : await foldUpserts(work, changes, { keys, sequence }, ports)
    const { add, remove, cdc, ...counts } = await replaceRows(
      work,
      history ? [...keys, ...columnsOf(table, [START_AT], 'scd_type')] : keys,
      ports,
    )
    if (memories) await remember(work, memories, ports, spec.tombstoneRetentionMs ?? TOMBSTONE_RETENTION_MS)
    return {
      rejected: rejected === 0 ? [] : await rejectedRows(work, changes, keys, sequence),
      change: mergeChange({ add, remove, cdc }, spec),
      counts: { ...counts, rejected, filesRewritten: remove.length, filesAdded: add.length },
    }
  })
}

/** The text of a binary value in the log is not one that engines agree on, and a change data file is of one partition. */
function requirePlainPartitions({ root, metadata, schema }: TableSnapshot) {
  const by = metadata.partitionColumns
  const binary = by.find((name) => findField(schema.fields, name)?.type.kind === 'binary')
  if (binary === undefined && (by.length === 0 || !hasChangeFeed(metadata))) return
  throw new IngestError(
    'table.unsupported_feature',
    `changes by key are not laid on the table ${root}: it is partitioned by ${binary === undefined ? 'columns and has a change data feed' : `the binary column ${binary}`}; use APPEND_ONLY, or a table without`,
  )
}

function mergeChange(files: Pick<Replacement, 'add' | 'remove' | 'cdc'>, spec: MergeSpec): TableChange {
  return {
    operation: 'MERGE',
    operationParameters: { predicate: JSON.stringify(spec.keys), scdType: spec.mode },
    ...files,
    reads: 'table',
  }
}

async function rejectedRows(
  work: Workspace,
  changes: Changes,
  keys: readonly Field[],
  sequence: readonly Field[],
): Promise<RejectedRow[]> {
  const rows = await work.session.rows(`
    select * exclude (_lf_ord, ${ABSENT}, ${DELETED}) from ${changeRows(work, changes)}
    where not (${placeable(keys, sequence)}) order by _lf_ord limit ${MAX_REJECTED}`)
  return rows.map((payload, record) => {
    const lacking = [...keys, ...sequence].find((field) => payload[physicalName(field)] === null)
    const wanted = lacking && keys.includes(lacking) ? 'a key' : 'a sequence'
    return {
      rejection: { record, column: lacking?.name ?? '', code: 'missing', got: 'null', wanted },
      payload,
      form: 'rows',
    }
  })
}

/** What makes a new version: all but the key, the sequence and the history's own columns. */
function trackedFields(table: TableSnapshot, keys: readonly Field[], sequence: readonly Field[]): Field[] {
  const untracked = new Set([...keys, ...sequence].map(({ name }) => name).concat(START_AT, END_AT))
  return table.schema.fields.filter(({ name }) => !untracked.has(name))
}

function columnsOf(table: TableSnapshot, names: readonly string[], setting: string): Field[] {
  return names.map((name) => {
    const field = findField(table.schema.fields, name)
    if (field) return field
    const known = table.schema.fields.map((each) => each.name).join(', ')
    throw new IngestError(
      'config.invalid',
      `${setting} names the column "${name}", which the table ${table.root} does not have; it has ${known}`,
    )
  })
}
