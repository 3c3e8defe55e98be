import { IngestError } from '../core/errors.ts'
import type { Action, AddFile } from '../delta/actions.ts'
import { changeTypeField, hasChangeFeed } from '../delta/change-feed.ts'
import { readCommit } from '../delta/commit-info.ts'
import { readDeletionVector } from '../delta/deletion-vector.ts'
import { canonicalPath } from '../delta/file-path.ts'
import { readSnapshot } from '../delta/snapshot.ts'
import type { TableSnapshot } from '../delta/table.ts'
import { commitTimes } from '../delta/time-travel.ts'
import type { Storage } from '../storage/storage.ts'
import type { Session } from './engine.ts'
import { readTableSql } from './read-table.ts'
import { literal, quoted } from './sql.ts'

type ChangeType = 'insert' | 'delete'

/**
 * A SELECT of what the versions `from` to `to` (default: the newest) did to a table, row by row: the table's columns at
 * `to`, `_change_type` (`insert`, `update_preimage`, `update_postimage`, `delete`), `_commit_version` and
 * `_commit_timestamp`. Undefined when there is no table.
 *
 * @throws IngestError `table.unsupported_feature` (fix) when the table did not have its change data feed on all the time,
 *   `table.missing` (fix) for versions that are not in the log
 */
export async function changeFeedSql(
  session: Session,
  storage: Storage,
  root: string,
  from: number,
  to?: number,
): Promise<string | undefined> {
  const last = await readSnapshot(storage, root, to === undefined ? {} : { version: to })
  const first = last && (await readSnapshot(storage, root, { version: from }))
  if (!first) return undefined
  const times = new Map((await commitTimes(storage, root)).map(({ version, modifiedAtMs }) => [version, modifiedAtMs]))
  const selects: string[] = []
  let { metadata } = first
  for (let version = from; version <= last.version; version++) {
    const actions = (await readCommit(storage, root, version)) ?? []
    for (const action of actions) if ('metaData' in action) metadata = action.metaData
    if (!hasChangeFeed(metadata)) {
      throw new IngestError(
        'table.unsupported_feature',
        `the table ${root} had no change data feed at version ${version}; set delta.enableChangeDataFeed, or begin later`,
      )
    }
    const info = actions.find((action) => 'commitInfo' in action)?.commitInfo
    const at = info?.inCommitTimestamp ?? times.get(version) ?? 0
    const stamp = `${version}::BIGINT as "_commit_version", make_timestamptz(${at * 1000}) as "_commit_timestamp"`
    for (const rows of await versionChanges(session, storage, last, actions)) {
      selects.push(`select *, ${stamp} from (${rows})`)
    }
  }
  if (selects.length === 0) {
    const none = await readTableSql(session, storage, last, { files: [] })
    return `select *, ''::VARCHAR as "_change_type", 0::BIGINT as "_commit_version", now() as "_commit_timestamp" from (${none}) where false`
  }
  return selects.join('\nunion all\n')
}

/** SELECTs of a version's changes: its change files where it has any, else the rows of its files. */
async function versionChanges(
  session: Session,
  storage: Storage,
  table: TableSnapshot,
  actions: readonly Action[],
): Promise<string[]> {
  const cdc = actions.flatMap((action) => ('cdc' in action ? [action.cdc] : []))
  if (cdc.length > 0) {
    const files = cdc.map((file) => ({ ...file, modificationTime: 0 }))
    return [await readTableSql(session, storage, table, { files, columns: [...table.schema.fields, changeTypeField] })]
  }
  const added = actions.flatMap((action) => ('add' in action && action.add.dataChange ? [action.add] : []))
  const removed = actions.flatMap((action): AddFile[] =>
    'remove' in action && action.remove.dataChange
      ? [{ partitionValues: {}, size: 0, modificationTime: 0, ...action.remove }]
      : [],
  )
  const before = new Map(removed.map((file) => [canonicalPath(file.path), file]))
  const selects: string[] = []
  const whole = async (files: readonly AddFile[], type: ChangeType) => {
    if (files.length > 0) selects.push(typed(await readTableSql(session, storage, table, { files }), type))
  }
  const pairs = added.filter(({ path }) => before.has(canonicalPath(path)))
  for (const file of pairs) {
    // The same file with another deletion vector: what is in one and not in the other has changed.
    const old = before.get(canonicalPath(file.path))!
    before.delete(canonicalPath(file.path))
    const [was, is] = [await deletedRows(storage, table, old), await deletedRows(storage, table, file)]
    const { deletionVector: _, ...bare } = file
    const all = await readTableSql(session, storage, table, { files: [bare], positions: true })
    for (const [type, rows] of [
      ['delete', without(is, was)],
      ['insert', without(was, is)],
    ] as const) {
      if (rows.length === 0) continue
      const changed = `select * exclude ("__file", "__row") from (${all}) where "__row" in (select unnest([${rows.join(', ')}]))`
      selects.push(typed(changed, type))
    }
  }
  await whole(
    added.filter((file) => !pairs.includes(file)),
    'insert',
  )
  await whole([...before.values()], 'delete')
  return selects
}

const typed = (rows: string, type: ChangeType) =>
  `select *, ${literal(type)} as ${quoted(changeTypeField.name)} from (${rows})`

const deletedRows = async (storage: Storage, table: TableSnapshot, file: AddFile): Promise<Set<number>> =>
  new Set(file.deletionVector ? await readDeletionVector(storage, table.root, file.deletionVector) : [])

const without = (rows: ReadonlySet<number>, others: ReadonlySet<number>) => [...rows].filter((row) => !others.has(row))
