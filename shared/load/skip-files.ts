import type { AddFile } from '../delta/actions.ts'
import { physicalName } from '../delta/column-mapping.ts'
import { columnBounds } from '../delta/skipping.ts'
import { decimalText } from '../delta/stats.ts'
import type { Comparable } from '../delta/values.ts'
import type { Field, LogicalType } from '../schema/types.ts'
import { literal, quoted, sqlType } from './sql.ts'
import { tableRows, type Workspace } from './workspace.ts'

/** A file whose rows must be looked at. `bin`: files whose key ranges overlap share one; undefined without statistics. */
export interface TouchedFile {
  file: AddFile
  /** Rows of it that have one of the keys. */
  matches: number
  bin: number | undefined
}

/**
 * The files of the table that may hold a row with one of the keys of `keyTable`, by their statistics of the leading key
 * column alone; nothing is read. Makes the temporary table `key_ranges (i, low, high)`.
 */
export async function candidateFiles(work: Workspace, keyTable: string, lead: Field): Promise<AddFile[]> {
  const files = [...work.table.files.values()]
  await rangesOf(work, files, lead)
  const column = quoted(physicalName(lead))
  const rows = await work.session.rows(`
    select i from key_ranges where low is null or high is null
    union all
    select r.i from (from key_ranges where low is not null and high is not null) r
      asof join (select distinct ${column} _lf_key from ${keyTable}) k on r.low <= k._lf_key
      where k._lf_key <= r.high`)
  const chosen = new Set(rows.map((row) => Number(row.i)))
  return files.filter((_, i) => chosen.has(i))
}

/**
 * The files of the table that hold a row with one of the keys of `keyTable`: the candidates, asked by their key columns.
 * Makes the temporary table `key_bins (bin, low, high)`: the ranges of the bins, disjoint and ascending.
 */
export async function touchedFiles(work: Workspace, keyTable: string, keys: readonly Field[]): Promise<TouchedFile[]> {
  const candidates = await candidateFiles(work, keyTable, keys[0]!)
  const matches = await countMatches(work, candidates, keyTable, keys)
  const numbers = new Map([...work.table.files.values()].map((file, i) => [file, i]))

  const touched = candidates.filter((_, at) => matches.has(at + 1))
  const bins = await makeBins(
    work,
    touched.map((file) => numbers.get(file)!),
  )
  return touched.map((file) => ({
    file,
    matches: matches.get(candidates.indexOf(file) + 1)!,
    bin: bins.get(numbers.get(file)!),
  }))
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

async function countMatches(work: Workspace, files: AddFile[], keyTable: string, keys: readonly Field[]) {
  if (files.length === 0) return new Map<number, number>()
  const names = keys.map((key) => quoted(physicalName(key))).join(', ')
  const rows = await work.session.rows(`
    select file_index, count(*) n from ${await tableRows(work, files)}
    semi join ${keyTable} using (${names}) group by file_index`)
  return new Map(rows.map((row) => [Number(row.file_index), Number(row.n)]))
}

/** Neighbours that overlap are one bin: what is written for one bin never overlaps what is written for another. */
async function makeBins(work: Workspace, touched: readonly number[]): Promise<Map<number, number>> {
  const { session } = work
  await session.run(`
    create or replace temp table file_bins as
    select i, low, high, sum(opens) over (order by low, i) bin from (
      select i, low, high,
        case when low <= max(high) over (order by low, i rows between unbounded preceding and 1 preceding) then 0 else 1 end opens
      from key_ranges where low is not null and high is not null and i in (${touched.join(', ') || 'null'}))`)
  await session.run(
    'create or replace temp table key_bins as select bin, min(low) low, max(high) high from file_bins group by bin',
  )
  const rows = await session.rows('select i, bin from file_bins')
  return new Map(rows.map((row) => [Number(row.i), Number(row.bin)]))
}
