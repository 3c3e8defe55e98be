import { physicalName } from '../delta/column-mapping.ts'
import type { Field } from '../schema/types.ts'
import { ABSENT, DELETED, type StagedFile } from './changes.ts'
import { openSidecar, remembered } from './sidecar.ts'
import { candidateFiles } from './skip-files.ts'
import { columns, quoted, sqlType } from './sql.ts'
import { stagedRows, storedNames, tableRows, type Workspace } from './workspace.ts'

/** Rows of one file are numbered below this. */
const FILE_STRIDE = 2 ** 40
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
 * arrival wins. A delete without a sequence comes right after what arrived before it.
 */
export async function foldUpserts(
  work: Workspace,
  staged: readonly StagedFile[],
  keys: readonly Field[],
  sequence: readonly Field[],
): Promise<Folded> {
  const { session } = work
  const keyNames = keys.map(physicalName)
  const key = columns(keyNames)
  const names = columns(storedNames(work))
  const rank = sequence.length === 0 ? 'ord' : '{ known: seq is not null, seq: seq, ord: ord }'
  const arrivals = `(select *, file_index::bigint * ${FILE_STRIDE} + file_row_number ord from ${await stagedRows(work, staged)})`
  const seq = sequenceOf(sequence)
  const usable = [...keyNames.map((name) => `${quoted(name)} is not null`)]
  if (sequence.length > 0) usable.push(`(${seq} is not null or ${DELETED})`)
  await session.run(`
    create temp table events as
    select ${key}, ${seq} seq, ord, coalesce(${DELETED}, false) deleted from ${arrivals} where ${usable.join(' and ')}`)

  if (sequence.length > 0) await addKnownEvents(work, keys, seq)

  await session.run(`
    create temp table winners as
    select ${key}, arg_max(ord, ${rank}) ord, arg_max(deleted, ${rank}) deleted, max(seq) seq from events
    group by ${key} having arg_max(ord, ${rank}) >= 0 order by ${key}`)
  await session.run(`create temp table doomed as select ${key} from winners`)
  await session.run(`
    create temp table fresh as
    select ${names} from ${arrivals} semi join (select ord from winners where not deleted) using (ord) order by ${key}`)

  const total = staged.reduce((rows, file) => rows + file.rows, 0)
  const [counts] = await session.rows('select count(*) n from events where ord >= 0')
  return {
    rejected: total - Number(counts!.n),
    ...(sequence.length > 0 ? { memories: tombstones(work, keys, sequence) } : {}),
  }
}

/** The deletes that won, as staged changes: a change of the key with a lower sequence may still come. */
function tombstones(work: Workspace, keys: readonly Field[], sequence: readonly Field[]): string {
  const columnOf = (field: Field) => {
    const name = quoted(physicalName(field))
    const at = sequence.indexOf(field)
    if (at >= 0) return `seq.s${at} ${name}`
    return keys.includes(field) ? name : `null::${sqlType(field.type)} ${name}`
  }
  return `select ${work.fields.map(columnOf).join(', ')}, true ${DELETED}, null::varchar[] ${ABSENT}
    from winners where deleted and seq is not null`
}

/** The stored rows of the keys at hand and their remembered deletes become events from before all arrivals. */
async function addKnownEvents(work: Workspace, keys: readonly Field[], seq: string) {
  const key = columns(keys.map(physicalName))
  const stored = await tableRows(work, await candidateFiles(work, 'events', keys[0]!))
  const sidecar = await openSidecar(work)
  const deletes = sidecar && (await remembered(sidecar, 'events', keys))
  const known = [`select ${key}, ${seq} seq, ${STORED} ord, false deleted from ${stored}`]
  if (deletes) known.push(`select ${key}, ${seq} seq, ${REMEMBERED} ord, true deleted from ${deletes} where ${DELETED}`)
  await work.session.run(`
    insert into events select known.* from (${known.join(' union all ')}) known semi join events using (${key})`)

  const [unsequenced] = await work.session.rows('select count(*) n from events where seq is null and deleted')
  if (Number(unsequenced!.n) === 0) return
  await work.session.run(`
    create or replace temp table events as
    select * replace (coalesce(seq, max(seq) over (partition by ${key} order by ord rows unbounded preceding)) as seq) from events`)
}

/** The sequence columns as one comparable value; null when one of them is. */
function sequenceOf(sequence: readonly Field[]): string {
  const names = sequence.map((field) => quoted(physicalName(field)))
  if (names.length === 0) return 'null'
  return `case when ${names.map((name) => `${name} is not null`).join(' and ')} then { ${names.map((name, at) => `s${at}: ${name}`).join(', ')} } end`
}
