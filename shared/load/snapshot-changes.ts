import { join } from 'node:path'
import { IngestError } from '../core/errors.ts'
import { physicalName } from '../delta/column-mapping.ts'
import type { Field } from '../schema/types.ts'
import { DELETED } from './changes.ts'
import { END_AT, START_AT } from './history-columns.ts'
import { columns, literal, quoted } from './sql.ts'
import { type Changes, changeRows, tableRows, type Workspace } from './workspace.ts'

const MAX_SHRINK = 0.5

/** How much of a table a whole read may lack, and the command that lets one through that lacks more. */
export interface ShrinkLimit {
  /** Share of the table's rows. Default 0.5. */
  maxShrink?: number
  letThrough?: string
}

/**
 * A read that lacks much of the table may be of a source that answered in part. It deletes nothing.
 * @throws IngestError `source.shrunk` (fix)
 */
export function requireFew(
  { missing, live }: { missing: number; live: number },
  { maxShrink = MAX_SHRINK, letThrough = 'a full refresh of the stream' }: ShrinkLimit,
  table: string,
): void {
  if (missing <= live * maxShrink) return
  throw new IngestError(
    'source.shrunk',
    `the source lacks ${missing} of the ${live} rows of ${table}, and at most ${Math.floor(live * maxShrink)} may go at once (max_snapshot_shrink: ${maxShrink}); if they were deleted, let this read through once with: ${letThrough}`,
  )
}

/**
 * A whole read of a source as changes: a key of the table that the read lacks was deleted, unless changes `since` the read
 * speak of it. Of a snapshot, rows that are as the table has them are no change; of keys, only the deletes are taken.
 *
 * @throws IngestError `source.shrunk` (fix)
 */
export async function changesSince(
  work: Workspace,
  read: Changes,
  keys: readonly Field[],
  { staged, since, ...limit }: ShrinkLimit & { staged: 'snapshot' | 'keys'; since: Changes },
): Promise<Changes> {
  const { session, table } = work
  const key = columns(keys.map(physicalName))
  const data = work.fields.map(physicalName).filter((name) => name !== START_AT && name !== END_AT)
  const isHistory = data.length < work.fields.length
  const live = `(select ${columns(data)} from ${await tableRows(work, [...table.files.values()])} ${isHistory ? `where ${quoted(END_AT)} is null` : ''})`
  const source = changeRows(work, read)

  // A delete without a sequence comes after all that is known of its key.
  const spokenOf = since.rows > 0 ? `anti join ${changeRows(work, since)} using (${key})` : ''
  await session.run(
    `create temp table missing as select ${key} from ${live} anti join ${source} using (${key}) ${spokenOf}`,
  )
  const [counts] = await session.rows(
    `select (select count(*) from missing) missing, (select count(*) from ${live}) live`,
  )
  requireFew({ missing: Number(counts!.missing), live: Number(counts!.live) }, limit, table.root)

  const file = join(session.folder, 'since.parquet')
  const deletes = `select ${key}, true ${DELETED} from missing`
  const same = data.map((name) => `s.${quoted(name)} is not distinct from t.${quoted(name)}`).join(' and ')
  const sameKey = keys
    .map((field) => `s.${quoted(physicalName(field))} = t.${quoted(physicalName(field))}`)
    .join(' and ')
  const upserts = `
    select ${columns(data, 's')}, _lf_ord from ${source} s
    where not exists (select 1 from ${live} t where ${sameKey} and ${same})`
  await session.run('set preserve_insertion_order = true')
  await session.run(`
    copy (select * exclude (_lf_ord) from (
      ${staged === 'snapshot' ? `${upserts} union all by name select *, 9223372036854775807 _lf_ord from (${deletes})` : `select *, 0 _lf_ord from (${deletes})`}
    ) order by _lf_ord) to ${literal(file)} (format parquet)`)
  await session.run('set preserve_insertion_order = false')
  const [written] = await session.rows(`select count(*) n from read_parquet(${literal(file)})`)
  return { paths: [file], rows: Number(written!.n) }
}
