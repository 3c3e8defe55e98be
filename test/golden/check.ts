import { existsSync, globSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { IngestError } from '../../shared/core/errors.ts'
import { fileRows } from '../../shared/delta/skipping.ts'
import { readSnapshot } from '../../shared/delta/snapshot.ts'
import type { TableSnapshot } from '../../shared/delta/table.ts'
import { columnSql } from '../../shared/load/convert-column.ts'
import type { Engine, Session } from '../../shared/load/engine.ts'
import { findColumn, markVariants, parquetColumns } from '../../shared/load/parquet-tree.ts'
import { readTableSql } from '../../shared/load/read-table.ts'
import { literal, quoted, sqlType } from '../../shared/load/sql.ts'
import { foldName } from '../../shared/schema/names.ts'
import { typeText } from '../../shared/schema/type-text.ts'
import { diskStorage } from '../../shared/storage/disk.ts'

export interface Outcome {
  /** `read`: no rows are expected anywhere, and the count is the one the log tells, where it does. */
  verdict: 'equal' | 'read' | 'refused' | 'WRONG'
  detail: string
}

/** The rows that a version of a table has, as Parquet files. */
interface Expected {
  version?: number
  files: readonly string[]
}

/** Reads the table in the folder, and compares it with the rows that stand beside it. */
export async function checkTable(engine: Engine, table: string): Promise<Outcome> {
  const expected = expectedRows(table)
  const details: string[] = []
  try {
    for (const { version, files } of expected.length > 0 ? expected : [{ files: undefined }]) {
      const storage = diskStorage(dirname(table))
      const snapshot = await readSnapshot(storage, basename(table), version === undefined ? {} : { version })
      if (!snapshot) return { verdict: files ? 'WRONG' : 'refused', detail: 'there is no table' }
      const wrong = await engine.session(async (session) => {
        const rows = await readTableSql(session, storage, snapshot)
        const [{ count } = { count: 0n }] = await session.rows(`select count(*) as count from (${rows})`)
        details.push(`version ${snapshot.version}, ${snapshot.files.size} files, ${count} rows`)
        return files ? await difference(session, snapshot, rows, files) : miscounted(snapshot, Number(count))
      })
      if (wrong) return { verdict: 'WRONG', detail: `${details.at(-1)}; ${wrong}` }
    }
    const [first = '', ...more] = details.toReversed()
    const detail = more.length > 0 ? `${first}; ${more.length} earlier versions` : first
    return expected.length > 0
      ? { verdict: 'equal', detail }
      : { verdict: 'read', detail: `${detail}; no folder "expected" beside it` }
  } catch (error) {
    if (!(error instanceof IngestError)) return { verdict: 'WRONG', detail: String((error as Error).stack) }
    // A table that has rows may be refused only for what is not supported, by name.
    const allowed = expected.length > 0 ? error.code === 'table.unsupported_feature' : error.code.startsWith('table.')
    return { verdict: allowed ? 'refused' : 'WRONG', detail: `${error.code}: ${error.message}` }
  }
}

/** Of `x/delta` in `x/expected`; or there by version, in `v0/table_content`, `latest/table_content`, as DAT keeps them. */
function expectedRows(table: string): Expected[] {
  const folder = join(dirname(table), 'expected')
  if (basename(table) !== 'delta' || !existsSync(folder)) return []
  const filesIn = (path: string) =>
    globSync('**/*.parquet', { cwd: join(folder, path) }).map((file) => join(folder, path, file))
  const versions = globSync('{latest,v*}/table_content', { cwd: folder }).sort()
  if (versions.length === 0) return [{ files: filesIn('.') }]
  return versions.map((path) => {
    const number = /^v(\d+)/.exec(path)?.[1]
    return { ...(number === undefined ? {} : { version: Number(number) }), files: filesIn(path) }
  })
}

/** What is wrong with the rows, in words; undefined when they are the expected ones, in any order. */
async function difference(session: Session, table: TableSnapshot, rows: string, files: readonly string[]) {
  if (files.length === 0) {
    const [first] = await session.rows(`select 1 from (${rows}) limit 1`)
    return first && 'no rows are expected'
  }
  const isHive = files.every((file) => basename(dirname(file)).includes('='))
  const parquet = `read_parquet([${files.map(literal).join(', ')}], union_by_name = true, hive_partitioning = ${isHive})`
  const theirs = (await session.rows(`describe select * from ${parquet}`)).map((row) => String(row.column_name))
  // Spark leaves columns that are only ever null out of what it writes.
  const wanted = table.schema.fields.filter(({ type }) => type.kind !== 'void')
  const extra = theirs.filter((name) => !table.schema.fields.some((field) => foldName(field.name) === foldName(name)))
  const missing = wanted.filter(({ name }) => !theirs.some((other) => foldName(other) === foldName(name)))
  if (extra.length > 0 || missing.length > 0) {
    return `the expected columns are ${theirs.join(', ')}, the table's ${wanted.map(({ name }) => name).join(', ')}`
  }
  const ours = `select ${wanted.map(({ name }) => quoted(name)).join(', ')} from (${rows})`
  // Other writers' times may be in milliseconds, nanoseconds or without their zone.
  const expected = `select ${wanted.map(({ name, type }) => (/^timestamp/.test(type.kind) ? `${quoted(name)}::${sqlType(type)}` : quoted(name))).join(', ')} from ${await withJson(session, table, files, parquet)}`
  const [counts] = await session.rows(
    `select (select count(*) from (${ours} except all ${expected})) as extra, (select count(*) from (${expected} except all ${ours})) as missing`,
  )
  const found = counts as { extra: bigint; missing: bigint }
  if (found.extra === 0n && found.missing === 0n) return undefined
  return `${found.missing} expected rows are missing, ${found.extra} are not expected`
}

/** Variants as JSON text, as a table's are read. */
async function withJson(session: Session, { schema }: TableSnapshot, files: readonly string[], parquet: string) {
  if (!schema.fields.some(({ type }) => typeText(type).includes('variant'))) return parquet
  const [file] = files as [string]
  const nodes = await markVariants(session, file, (await parquetColumns(session, [file])).get(file)!)
  const columns = schema.fields.flatMap((field) => {
    const naming = { byId: false, physical: false, file }
    const node = findColumn(nodes, { ...field, physicalName: field.name }, false)
    return node ? [`${columnSql(quoted(node.name), node, field.type, naming)} as ${quoted(field.name)}`] : []
  })
  return `(select ${columns.join(', ')} from ${parquet})`
}

/** The log's own count, where every file has one, is the only other witness. */
function miscounted({ files }: TableSnapshot, count: number) {
  let rows = 0
  for (const file of files.values()) rows += (fileRows(file) ?? Number.NaN) - (file.deletionVector?.cardinality ?? 0)
  return Number.isNaN(rows) || rows === count ? undefined : `the log counts ${rows} rows`
}
