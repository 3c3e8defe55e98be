import type { Clock } from '../core/clock.ts'
import { physicalName } from '../delta/column-mapping.ts'
import { fileMayContain } from '../delta/skipping.ts'
import { parseValue } from '../delta/values.ts'
import type { Field } from '../schema/types.ts'
import { ABSENT, DELETED } from './changes.ts'
import { END_AT, START_AT } from './history-columns.ts'
import { placeable, rightAfter, sequenceOf, sequenceType } from './sequence.ts'
import { openSidecar, remembered } from './sidecar.ts'
import { candidateFiles } from './skip-files.ts'
import { columns, literal, quoted, sameKey } from './sql.ts'
import { type Changes, changeRows, storedNames, tableRows, type Workspace } from './workspace.ts'

/** The names of the columns in the temporary table `timeline`, physical. */
export interface Timeline {
  key: readonly string[]
  /** The source's columns: the table's without those of the history. */
  data: readonly string[]
  /** Changes left out, for want of a key or a sequence. */
  rejected: number
}

interface Order {
  keys: readonly Field[]
  sequence: readonly Field[]
  /** The table keeps versions. */
  history: boolean
  /** Only keys of this temporary table. */
  only?: string
}

/**
 * Every change known of the keys that staged changes name: staged ones, remembered ones, and those the stored rows tell
 * of. Makes the temporary tables
 *
 *   stored    the rows of the table that may change
 *   timeline  the data columns, whole: what a change did not carry comes from the one before it;
 *             _lf_at (leading sequence), _lf_place (orders the changes of a key), _lf_deleted, _lf_absent,
 *             _lf_origin (`stored`, `memory`, `arrival`)
 */
export async function makeTimeline(
  work: Workspace,
  changes: Changes,
  order: Order,
  { clock }: { clock: Clock },
): Promise<Timeline> {
  const { session } = work
  const { keys, sequence, history } = order
  const fields = work.fields.filter(({ name }) => !history || (name !== START_AT && name !== END_AT))
  const timeline = { key: keys.map(physicalName), data: fields.map(physicalName), rejected: 0 }
  const key = columns(timeline.key)
  const data = columns(timeline.data)
  const now = BigInt(clock.now()) * 1000n
  const lead = sequence[0]
  const at = lead ? '_lf_seq.s0' : 'null::timestamptz'

  await session.run(`
    create temp table arrivals as
    select ${data}, ${sequenceOf(sequence)}::${sequenceType(sequence)} _lf_seq, coalesce(${DELETED}, false) _lf_deleted, ${ABSENT} _lf_absent, _lf_ord
    from ${changeRows(work, changes)} ${order.only ? `semi join ${order.only} using (${key})` : ''}
    where ${placeable(keys, sequence)}`)
  const [arrived] = await session.rows('select count(*) n from arrivals')
  const rejected = changes.rows - Number(arrived!.n)
  await session.run(`
    create temp table focus as
    select ${key}, min(${lead ? at : `make_timestamptz(${now})`}) _lf_anchor from arrivals group by ${key}`)

  await loadStored(work, order)
  await session.run(`
    create temp table events as
    select ${data}, _lf_seq, ${at} _lf_at, true _lf_exact, 2 _lf_rank, _lf_ord, _lf_deleted, _lf_absent from arrivals`)
  if (history) await insertVersions(work, timeline.data, order)
  else {
    await session.run(`
      insert into events
      select ${data}, ${sequenceOf(sequence)}, ${lead ? quoted(physicalName(lead)) : 'null'}, ${sequenceOf(sequence)} is not null, 0, 0, false, null from stored`)
  }
  await insertMemories(work, timeline, order)
  if (lead && history) await shortenGuessedEnds(work, timeline.key)
  if (lead) await placeDeletes(work, timeline.key, lead, history, now)
  else if (history) await placeArrivals(work, key, now)
  await compose(work, timeline, fields)
  return { ...timeline, rejected }
}

/** The rows of the table with one of the keys; of a history, those that hold at the first change or later. */
async function loadStored(work: Workspace, { keys, history }: Order) {
  const { session } = work
  const names = columns(storedNames(work), 's')
  const key = columns(keys.map(physicalName))
  let files = await candidateFiles(work, 'focus', keys[0]!)
  if (history) {
    const type = work.fields.find(({ name }) => name === END_AT)!.type
    const [first] = await session.rows('select min(_lf_anchor)::varchar as anchor from focus')
    const min = first?.anchor == null ? undefined : parseValue(String(first.anchor), type)
    const range = { column: [END_AT], orNull: true, ...(min === undefined ? {} : { min }) }
    files = files.filter((file) => fileMayContain(file, work.table, [range]))
  }
  const live = `${quoted(END_AT)} is null or ${quoted(END_AT)} >= _lf_anchor`
  await session.run(`
    create temp table stored as
    select ${names} from ${await tableRows(work, files)} s join focus using (${key}) ${history ? `where ${live}` : ''}`)
}

/**
 * What stored versions tell: the change whose values a version has; the one that began it, when that was another; and
 * the delete that ended it, when no version follows.
 */
async function insertVersions(work: Workspace, data: readonly string[], { keys, sequence }: Order) {
  const { session } = work
  const key = columns(keys.map(physicalName))
  const lead = sequence[0]
  const [start, end] = [quoted(START_AT), quoted(END_AT)]
  const seq = sequenceOf(sequence)
  const own = lead ? `coalesce(${quoted(physicalName(lead))}, ${start})` : start
  const leadAs = (value: string) =>
    data.map((name) => (lead && name === physicalName(lead) ? `${value} ${quoted(name)}` : quoted(name))).join(', ')
  await session.run(`
    insert into events
    select ${columns(data)}, ${seq}, ${own}, ${seq} is not null, 0, 0, false, null from stored
    union all
    select ${leadAs(start)}, null, ${start}, false, 0, 0, false, null from stored where ${own} <> ${start}
    union all
    select ${leadAs(end)}, null, ${end}, false, 0, 1, true, null from stored
    where ${end} is not null and (${key}, ${end}) not in (select (${key}, ${start}) from stored)`)
}

/** Remembered changes, from the first stored version on; one that did not carry all columns needs a version before it. */
async function insertMemories(work: Workspace, { key: names, data }: Timeline, { keys, sequence, history }: Order) {
  if (sequence.length === 0) return
  const { session } = work
  const sidecar = await openSidecar(work)
  const rows = sidecar && (await remembered(sidecar, 'focus', keys))
  if (!rows) return
  const key = columns(names)
  const seq = sequenceOf(sequence)
  const first = history ? `(select ${key}, min(${quoted(START_AT)}) _lf_first from stored group by ${key})` : undefined
  const since = `(_lf_first is null and _lf_at >= _lf_anchor) or (_lf_first is not null and _lf_at >= least(_lf_first, _lf_anchor) and (_lf_at > _lf_first or coalesce(len(_lf_absent), 0) = 0))`
  await session.run(`
    create temp table memories as
    select distinct on (${key}, _lf_seq) * from (
      select ${columns(data)}, ${seq} _lf_seq, ${quoted(physicalName(sequence[0]!))} _lf_at, true _lf_exact, 1 _lf_rank, 0 _lf_ord, ${DELETED} _lf_deleted, ${ABSENT} _lf_absent
      from ${rows} join focus using (${key}) ${first ? `left join ${first} using (${key}) where ${since}` : ''})
    order by len(_lf_absent) desc nulls last`)
  // A stored row was made from what is remembered of its change: a late one may make it anew.
  await session.run(`
    delete from events where _lf_rank = 0 and (${key}, _lf_seq) in (select (${key}, _lf_seq) from memories)`)
  await session.run('insert into events from memories')
}

/**
 * A delete without a sequence ended its version when it was laid on the table, which may be later than it happened. A change
 * that arrives now and is newer than all that was known of the key came after the delete, so the version ended before it.
 * The end of a delete with a sequence is remembered, and stays.
 */
async function shortenGuessedEnds({ session }: Workspace, names: readonly string[]) {
  const key = columns(names)
  await session.run(`
    create temp table shortened as
    with ends as (select ${key}, _lf_at _lf_end from events where _lf_rank = 0 and _lf_deleted),
      newest as (select ${key}, max(_lf_at) _lf_newest from events where _lf_rank < 2 and not _lf_deleted group by ${key}),
      told as (select ${key}, _lf_at _lf_end from events where _lf_rank = 1 and _lf_deleted),
      later as (select ${key}, _lf_at _lf_next from events where _lf_rank = 2 and not _lf_deleted)
    select ${key}, _lf_end, min(_lf_next) _lf_next
    from ends anti join told using (${key}, _lf_end) join newest using (${key}) join later using (${key})
    where _lf_next > _lf_newest and _lf_next < _lf_end group by ${key}, _lf_end`)
  await session.run(`
    update events set _lf_at = _lf_next from shortened s
    where ${sameKey(names, 'events', 's')} and events._lf_rank = 0 and events._lf_deleted and events._lf_at = s._lf_end`)
}

/**
 * A delete without a sequence: right after what arrived before it, and not after a change that arrived later and is as new
 * as all of that. So a row that was deleted and comes again is there, also when a copy had it already.
 */
async function placeDeletes(work: Workspace, names: readonly string[], lead: Field, history: boolean, now: bigint) {
  const { session } = work
  const [found] = await session.rows('select count(*) n from events where _lf_seq is null and _lf_rank = 2')
  if (Number(found!.n) === 0) return
  const key = columns(names)
  const before = `over (partition by ${key} order by _lf_rank, _lf_ord rows unbounded preceding)`
  const known = `max(_lf_at) ${before}`
  await session.run(`
    create temp table unplaced as
    select ${key}, _lf_ord, ${history ? rightAfter(known, lead.type, now) : known} _lf_to, max(_lf_seq) ${before} _lf_newest
    from events qualify _lf_seq is null and _lf_rank = 2 and ${known} is not null`)
  await session.run(`
    create temp table places as
    select ${key}, unplaced._lf_ord, any_value(_lf_newest) _lf_seq,
      least(any_value(_lf_to), min(later._lf_at) filter (later._lf_ord > unplaced._lf_ord and later._lf_seq >= _lf_newest)) _lf_at
    from unplaced left join (from events where _lf_rank = 2 and _lf_seq is not null) later using (${key})
    group by ${key}, unplaced._lf_ord`)
  await session.run(`
    create or replace temp table events as
    select events.* replace (coalesce(events._lf_at, places._lf_at) as _lf_at, coalesce(events._lf_seq, places._lf_seq) as _lf_seq)
    from events left join places on ${sameKey(names, 'events', 'places')} and events._lf_ord = places._lf_ord
      and events._lf_rank = 2 and events._lf_seq is null
    where not (events._lf_rank = 2 and events._lf_seq is null and places._lf_at is null)`)
}

/** Without a sequence a change holds from when it is laid on the table, and after all that is there. */
async function placeArrivals(work: Workspace, key: string, now: bigint) {
  await work.session.run(`
    create or replace temp table events as
    select * replace (
      case when _lf_rank < 2 then _lf_at
      else greatest(make_timestamptz(${now}), max(_lf_at) filter (_lf_rank < 2) over (partition by ${key}))
        + to_microseconds(row_number() over (partition by ${key}, _lf_rank order by _lf_ord)) end as _lf_at)
    from events`)
}

/** What a change did not carry comes from the one before it, unless that is a delete. */
async function compose(work: Workspace, { key: names, data }: Timeline, fields: readonly Field[]) {
  const { session } = work
  const key = columns(names)
  const rows = await session.rows('select distinct unnest(_lf_absent) as name from events')
  const absent = new Set(rows.map((row) => String(row.name).toLowerCase()))
  const place = '{ since: _lf_at, exact: _lf_exact, seq: _lf_seq, rank: _lf_rank, ord: _lf_ord }'
  const origin = `case _lf_rank when 0 then 'stored' when 1 then 'memory' else 'arrival' end _lf_origin`
  const partial = fields.filter((field) => absent.has(field.name.toLowerCase()))
  const whole = partial.map((field) => {
    const name = quoted(physicalName(field))
    const carried = `not list_contains(list_transform(_lf_absent, lambda a: lower(a)), ${literal(field.name.toLowerCase())})`
    const value = `case when coalesce(${carried}, true) then { v: ${name} } end`
    return `last_value(${value} ignore nulls) over (partition by ${key}, _lf_life order by _lf_place rows unbounded preceding).v as ${name}`
  })
  const placed = `select ${columns(data)}, _lf_at, _lf_deleted, _lf_absent, ${origin}, ${place} _lf_place from events`
  if (partial.length === 0) {
    await session.run(`create temp table timeline as ${placed}`)
    return
  }
  await session.run(`
    create temp table timeline as
    select * exclude (_lf_life) replace (${whole.join(', ')}) from (
      select *, sum(_lf_deleted::integer) over (partition by ${key} order by _lf_place rows unbounded preceding) _lf_life
      from (${placed}))`)
}
