import type { Clock } from '../core/clock.ts'
import { physicalName } from '../delta/column-mapping.ts'
import type { Field } from '../schema/types.ts'
import { ABSENT, DELETED } from './changes.ts'
import { placeable, sequenceOf } from './sequence.ts'
import { openSidecar, remembered } from './sidecar.ts'
import { candidateFiles } from './skip-files.ts'
import { columns, quoted, sqlType } from './sql.ts'
import { makeTimeline } from './timeline.ts'
import { type Changes, changeRows, storedNames, tableRows, type Workspace } from './workspace.ts'

/** The arrival number of what was there before. */
const STORED = -1
const REMEMBERED = -2

export interface Folded {
  /** Changes left out, for want of a key or a sequence. */
  rejected: number
  /** What the sidecar has to remember, as a relation of staged changes. */
  memories?: string
}

/**
 * SCD type 1: what is left of staged changes after the last of each key won. Makes the temporary tables `doomed` (the
 * keys that change or go) and `fresh` (the rows that come), as `replaceRows` takes them.
 *
 * With sequence columns, "last" is the highest sequence, the stored row's own included; at equal sequences the later
 * arrival wins. A delete without a sequence comes right after what arrived before it. Keys with a change that does not
 * carry all columns are put together from all that is known of them.
 */
export async function foldUpserts(
  work: Workspace,
  changes: Changes,
  { keys, sequence }: { keys: readonly Field[]; sequence: readonly Field[] },
  ports: { clock: Clock },
): Promise<Folded> {
  const { session } = work
  const key = columns(keys.map(physicalName))
  const names = columns(storedNames(work))
  const arrivals = changeRows(work, changes)
  const seq = sequenceOf(sequence)
  await session.run(`
    create temp table placed as
    select ${key}, ${seq} _lf_seq, _lf_ord, coalesce(${DELETED}, false) _lf_deleted, coalesce(len(${ABSENT}), 0) > 0 _lf_partial
    from ${arrivals} where ${placeable(keys, sequence)}`)
  const [counts] = await session.rows('select count(*) n from placed')
  if (sequence.length > 0) await addKnown(work, keys, seq)

  await session.run(
    `create temp table winners as ${sequence.length === 0 ? lastArrivals(key) : highest(key)} order by ${key}`,
  )
  await session.run(`create temp table doomed as select ${key} from winners`)
  await session.run(`
    create temp table fresh as
    select ${names} from ${arrivals}
    semi join (select _lf_ord from winners where not _lf_deleted and not _lf_partial) using (_lf_ord) order by ${key}`)

  const memories = sequence.length > 0 ? [tombstones(work, keys, sequence)] : []
  const [partial] = await session.rows('select count(*) n from winners where _lf_partial')
  if (Number(partial!.n) > 0) {
    await session.run(`create temp table partial_keys as select ${key} from winners where _lf_partial`)
    await makeTimeline(work, changes, { keys, sequence, history: false, only: 'partial_keys' }, ports)
    await session.run(`
      insert into fresh select ${names} from (
        from timeline qualify row_number() over (partition by ${key} order by _lf_place desc) = 1
      ) where not _lf_deleted`)
    memories.push(
      `select ${names}, _lf_deleted ${DELETED}, _lf_absent ${ABSENT} from timeline where _lf_origin <> 'memory'`,
    )
  }
  return {
    rejected: changes.rows - Number(counts!.n),
    ...(sequence.length > 0 ? { memories: memories.join(' union all ') } : {}),
  }
}

/** One number holds what is needed of a change, so one maximum finds the last: half the time of three `arg_max`. */
const lastArrivals = (key: string) => `
  select * exclude (_lf_last), _lf_last // 4 _lf_ord, _lf_last % 2 = 1 _lf_deleted, _lf_last // 2 % 2 = 1 _lf_partial, null _lf_seq
  from (select ${key}, max(_lf_ord * 4 + _lf_partial::bigint * 2 + _lf_deleted::bigint) _lf_last from placed group by ${key})`

/** Keys whose highest change was there before need nothing, unless a change that came late completes it. */
function highest(key: string): string {
  const rank = '{ known: _lf_seq is not null, seq: _lf_seq, ord: _lf_ord }'
  return `
    select ${key}, arg_max(_lf_ord, ${rank}) _lf_ord, arg_max(_lf_deleted, ${rank}) _lf_deleted,
      bool_or(_lf_partial) _lf_partial, max(_lf_seq) _lf_seq
    from placed group by ${key} having bool_or(_lf_partial) or arg_max(_lf_ord, ${rank}) >= 0`
}

/** The deletes that won, as staged changes: a change of the key with a lower sequence may still come. */
function tombstones(work: Workspace, keys: readonly Field[], sequence: readonly Field[]): string {
  const columnOf = (field: Field) => {
    const name = quoted(physicalName(field))
    const at = sequence.indexOf(field)
    if (at >= 0) return `_lf_seq.s${at} ${name}`
    return keys.includes(field) ? name : `null::${sqlType(field.type)} ${name}`
  }
  return `select ${work.fields.map(columnOf).join(', ')}, true ${DELETED}, null::varchar[] ${ABSENT}
    from winners where _lf_deleted and not _lf_partial and _lf_seq is not null`
}

/** The stored rows of the keys at hand, and what is remembered of them, come before all arrivals. */
async function addKnown(work: Workspace, keys: readonly Field[], seq: string) {
  const key = columns(keys.map(physicalName))
  const stored = await tableRows(work, await candidateFiles(work, 'placed', keys[0]!))
  const sidecar = await openSidecar(work)
  const memories = sidecar && (await remembered(sidecar, 'placed', keys))
  const known = [`select ${key}, ${seq}, ${STORED}, false, false from ${stored}`]
  if (memories) {
    known.push(`
      select ${key}, ${seq}, ${REMEMBERED}, coalesce(${DELETED}, false), coalesce(len(${ABSENT}), 0) > 0 from ${memories}`)
  }
  await work.session.run(`
    insert into placed select known.* from (${known.join(' union all ')}) known semi join placed using (${key})`)

  const [unsequenced] = await work.session.rows('select count(*) n from placed where _lf_seq is null and _lf_deleted')
  if (Number(unsequenced!.n) === 0) return
  await work.session.run(`
    create or replace temp table placed as
    select * replace (
      coalesce(_lf_seq, max(_lf_seq) over (partition by ${key} order by _lf_ord rows unbounded preceding)) as _lf_seq)
    from placed`)
}
