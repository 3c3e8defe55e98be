import type { AddFile } from '../delta/actions.ts'
import { physicalName } from '../delta/column-mapping.ts'
import { columnBounds } from '../delta/skipping.ts'
import { decimalText } from '../delta/stats.ts'
import type { Comparable } from '../delta/values.ts'
import type { Field, LogicalType } from '../schema/types.ts'
import { literal, quoted, sqlType } from './sql.ts'
import { tableRows, type Workspace } from './workspace.ts'

/** Files of one partition to be rewritten together, as the ranges of their leading key column overlap. */
export interface Bin {
  files: AddFile[]
  /** SQL literals; undefined for files without statistics. Bins of a partition do not overlap. */
  range?: { low: string; high: string }
}

/**
 * The files of the table that may hold a row with one of the keys of `keyTable`, by their statistics of the leading key
 * column alone; nothing is read. Makes the temporary table `key_ranges (i, low, high)`.
 */
export async function candidateFiles(work: Workspace, keyTable: string, lead: Field): Promise<AddFile[]> {
  const files = [...work.table.files.values()]
  const near = await nearFiles(work, keyTable, lead)
  // The join sorts all keys, a tenth of a merge into one file: and there it has nothing to tell apart.
  if (near.length < 2) return near
  const column = quoted(physicalName(lead))
  const rows = await work.session.rows(`
    select i from key_ranges where low is null or high is null
    union all
    select r.i from (from key_ranges where low is not null and high is not null) r
      asof join (select ${column} _lf_key from ${keyTable}) k on r.low <= k._lf_key
      where k._lf_key <= r.high`)
  const chosen = new Set(rows.map((row) => Number(row.i)))
  return files.filter((_, i) => chosen.has(i))
}

/** The files whose range meets that of all keys of `keyTable` together. Makes `key_ranges` as `candidateFiles` does. */
async function nearFiles(work: Workspace, keyTable: string, lead: Field): Promise<AddFile[]> {
  const files = [...work.table.files.values()]
  await rangesOf(work, files, lead)
  const column = quoted(physicalName(lead))
  const rows = await work.session.rows(`
    select i from key_ranges, (select min(${column}) least_key, max(${column}) greatest_key from ${keyTable})
    where (low <= greatest_key and high >= least_key) is not false and least_key is not null`)
  const chosen = new Set(rows.map((row) => Number(row.i)))
  return files.filter((_, i) => chosen.has(i))
}

/** Rows at a file's start that are asked first: where changes are spread, one of them is nearly always among them. */
const FIRST_ROWS = 4096

/** The files of the table that hold a row with one of the keys of `keyTable`: the candidates, asked by their key columns. */
export async function touchedFiles(work: Workspace, keyTable: string, keys: readonly Field[]): Promise<Bin[]> {
  const candidates = await candidateFiles(work, keyTable, keys[0]!)
  const early = await holders(work, candidates, keyTable, keys, `where _lf_row < ${FIRST_ROWS}`)
  const rest = candidates.filter((file) => !early.has(file))
  const late = await holders(work, rest, keyTable, keys)
  const touched = candidates.filter((file) => early.has(file) || late.has(file))
  const bins: Bin[] = []
  for (const files of byPartition(touched)) bins.push(...(await makeBins(work, files, keys[0]!)))
  return bins
}

/** `key_ranges (i, low, high)`: bounds of the leading key column, null where a file does not tell. */
async function rangesOf(work: Workspace, files: readonly AddFile[], lead: Field) {
  const type = sqlType(lead.type)
  await work.session.run(`create or replace temp table key_ranges (i integer, low ${type}, high ${type})`)
  for (let start = 0; start < files.length; start += 1000) {
    const rows = files.slice(start, start + 1000).map((file, at) => {
      const bounds = columnBounds(file, work.table, [lead.name])
      return `(${start + at}, ${boundSql(bounds?.min, lead.type)}, ${boundSql(bounds?.max, lead.type)})`
    })
    await work.session.run(`insert into key_ranges values ${rows.join(', ')}`)
  }
}

function boundSql(value: Comparable | undefined, type: LogicalType): string {
  if (value === undefined) return 'null'
  switch (type.kind) {
    case 'decimal':
      return `${decimalText(value as bigint, type.scale)}::${sqlType(type)}`
    case 'date':
      return `date '1970-01-01' + ${value}::integer`
    case 'timestamp':
      return `make_timestamptz(${value})`
    case 'timestamp_ntz':
      return `make_timestamp(${value})`
    default:
      return `${literal(String(value))}::${sqlType(type)}`
  }
}

function byPartition(files: readonly AddFile[]): AddFile[][] {
  return [
    ...Map.groupBy(files, ({ partitionValues }) => JSON.stringify(Object.entries(partitionValues).sort())).values(),
  ]
}

async function holders(work: Workspace, files: AddFile[], keyTable: string, keys: readonly Field[], where = '') {
  if (files.length === 0) return new Set<AddFile>()
  const names = keys.map((key) => quoted(physicalName(key))).join(', ')
  const rows = await work.session.rows(`
    select distinct _lf_file from (from ${await tableRows(work, files)} ${where}) semi join ${keyTable} using (${names})`)
  return new Set(rows.map((row) => files[Number(row._lf_file) - 1]!))
}

/** Neighbours that overlap share a bin, so what is written for one bin never overlaps what is written for another. */
async function makeBins(work: Workspace, touched: readonly AddFile[], lead: Field): Promise<Bin[]> {
  const { session } = work
  const numbers = new Map([...work.table.files.values()].map((file, i) => [i, file]))
  const wanted = new Set(touched)
  const list = [...numbers].flatMap(([i, file]) => (wanted.has(file) ? [i] : []))
  if (list.length === 0) return []
  const rows = await session.rows(`
    select list(i) files, min(low)::varchar low, max(high)::varchar high from (
      select i, low, high, sum(opens) over (order by low, i) bin from (
        select i, low, high, (low <= max(high) over (order by low, i rows between unbounded preceding and 1 preceding)
          is not true)::integer opens
        from key_ranges where i in (${list.join(', ')}) and low is not null and high is not null))
    group by bin
    union all
    select list(i), null, null from key_ranges where i in (${list.join(', ')}) and (low is null or high is null)
    having count(*) > 0`)
  const bound = (text: unknown) => `${literal(String(text))}::${sqlType(lead.type)}`
  return rows.map(({ files, low, high }) => ({
    files: (files as number[]).map((i) => numbers.get(i)!),
    ...(low == null ? {} : { range: { low: bound(low), high: bound(high) } }),
  }))
}
