import { join } from 'node:path'
import { IngestError } from '../core/errors.ts'
import { physicalName } from '../delta/column-mapping.ts'
import type { Field } from '../schema/types.ts'
import { DELETED } from './changes.ts'
import { END_AT, START_AT } from './history-columns.ts'
import { columns, literal, quoted } from './sql.ts'
import { type Changes, changeRows, tableRows, type Workspace } from './workspace.ts'

const MAX_SHRINK = 0.5

/**
 * A whole read of a source as changes: a key of the table that the read lacks was deleted. Of a snapshot, rows that are
 * as the table has them are no change; of keys, only the deletes are taken.
 *
 * A read that lacks much of the table may be a source that answered in part. It deletes nothing.
 * @throws IngestError `source.shrunk` (fix)
 */
export async function changesSince(
  work: Workspace,
  read: Changes,
  keys: readonly Field[],
  { staged, maxShrink = MAX_SHRINK }: { staged: 'snapshot' | 'keys'; maxShrink?: number },
): Promise<Changes> {
  const { session, table } = work
  const key = columns(keys.map(physicalName))
  const data = work.fields.map(physicalName).filter((name) => name !== START_AT && name !== END_AT)
  const isHistory = data.length < work.fields.length
  const live = `(select ${columns(data)} from ${await tableRows(work, [...table.files.values()])} ${isHistory ? `where ${quoted(END_AT)} is null` : ''})`
  const source = changeRows(work, read)

  // A delete without a sequence comes after all that is known of its key.
  await session.run(`create temp table missing as select ${key} from ${live} anti join ${source} using (${key})`)
  const [counts] = await session.rows(
    `select (select count(*) from missing) missing, (select count(*) from ${live}) live`,
  )
  const [missing, known] = [Number(counts!.missing), Number(counts!.live)]
  if (missing > known * maxShrink) {
    throw new IngestError(
      'source.shrunk',
      `the source lacks ${missing} of the ${known} rows of ${table.root}, and at most ${Math.floor(known * maxShrink)} may go at once; run a full refresh of the stream if they were deleted`,
    )
  }

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
