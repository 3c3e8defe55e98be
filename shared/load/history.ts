import type { Clock } from '../core/clock.ts'
import { IngestError } from '../core/errors.ts'
import { physicalName } from '../delta/column-mapping.ts'
import { findField } from '../schema/names.ts'
import type { Field } from '../schema/types.ts'
import { ABSENT, DELETED } from './changes.ts'
import { END_AT, START_AT } from './history-columns.ts'
import { columns, quoted, sqlType } from './sql.ts'
import { makeTimeline, type Timeline } from './timeline.ts'
import type { Folded } from './upsert.ts'
import { type Changes, storedNames, type Workspace } from './workspace.ts'

/**
 * SCD type 2: what staged changes make of the history of their keys. Makes the temporary tables `doomed` (versions that
 * change or go, by key and `__START_AT`) and `fresh` (those that come), as `replaceRows` takes them.
 *
 *   changes of a key   5: a   10: a   15: b   20: delete   30: b
 *   its versions       [5, 15) a      [15, 20) b           [30, open) b
 *
 * Upserts in a row that differ in no tracked column are one version: its values are the last one's, its start the
 * first one's. A change that comes late splits the version it falls into, and the rest of the history stays. Versions
 * never overlap; one without width is not kept (AUTO CDC, SCD type 2).
 */
export async function foldHistory(
  work: Workspace,
  changes: Changes,
  { keys, sequence, tracked }: { keys: readonly Field[]; sequence: readonly Field[]; tracked: readonly Field[] },
  ports: { clock: Clock },
): Promise<Folded> {
  const { session, table } = work
  if (!findField(table.schema.fields, START_AT) || !findField(table.schema.fields, END_AT)) {
    throw new IngestError(
      'config.invalid',
      `the table ${table.root} has no history columns; run a full refresh to change its scd_type to SCD_TYPE_2`,
    )
  }
  const timeline = await makeTimeline(work, changes, { keys, sequence, history: true }, ports)
  const key = columns(timeline.key)
  const data = columns(timeline.data)
  const values = tracked.map(physicalName).map((name, at) => `v${at}: ${quoted(name)}`)

  // Of several changes at one start only the last has width.
  await session.run(`
    create temp table runs as
    with last as (
      from timeline qualify row_number() over (partition by ${key}, _lf_at order by _lf_place desc) = 1
    ), begun as (
      select *, { ${['never: 0', ...values].join(', ')} } _lf_tracked,
        _lf_deleted or lag(_lf_deleted) over _lf_place is not false or lag(_lf_tracked) over _lf_place is distinct from _lf_tracked _lf_begins
      from last window _lf_place as (partition by ${key} order by _lf_at)
    )
    select * exclude (_lf_tracked, _lf_begins), sum(_lf_begins::integer) over (partition by ${key} order by _lf_at rows unbounded preceding) _lf_run,
      lead(_lf_at) over (partition by ${key} order by _lf_at) _lf_next
    from begun`)
  await session.run(`
    create temp table versions as
    select ${data}, min(_lf_at) over whole ${quoted(START_AT)}, _lf_next ${quoted(END_AT)} from runs where not _lf_deleted
    window whole as (partition by ${key}, _lf_run)
    qualify row_number() over (partition by ${key}, _lf_run order by _lf_at desc) = 1`)

  const all = columns(storedNames(work))
  await session.run(
    `create temp table fresh as (select ${all} from versions except all select ${all} from stored) order by ${key}`,
  )
  await session.run(`
    create temp table doomed as
    select ${key}, ${quoted(START_AT)} from (select ${all} from stored except all select ${all} from versions) order by ${key}`)
  return { rejected: timeline.rejected, ...(sequence.length > 0 ? { memories: memories(work, timeline) } : {}) }
}

/**
 * What the versions do not tell any more: deletes, changes inside a version, and which columns a change did not carry.
 * A late change may need them to find its place.
 */
function memories(work: Workspace, { key, data }: Timeline): string {
  const all = work.fields.map((field) => {
    const name = quoted(physicalName(field))
    return data.includes(physicalName(field)) ? name : `null::${sqlType(field.type)} ${name}`
  })
  return `
    select ${all.join(', ')}, _lf_deleted ${DELETED}, _lf_absent ${ABSENT} from (
      from runs qualify _lf_origin <> 'memory' and (
        (_lf_deleted and _lf_origin = 'arrival')
        or (not _lf_deleted and row_number() over (partition by ${columns(key)}, _lf_run order by _lf_at desc) > 1)
        or (_lf_origin = 'arrival' and len(_lf_absent) > 0)))`
}
