import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type DuckDBConnection, DuckDBInstance, type DuckDBResult, StatementType } from '@duckdb/node-api'
import { IngestError } from '../core/errors.ts'
import { readSnapshot } from '../delta/snapshot.ts'
import { tableRoot } from '../delta/table-root.ts'
import { readTableSql } from '../load/read-table.ts'
import { literal, quoted } from '../load/sql.ts'
import { type TableName, tableNameText } from '../pipeline/table-name.ts'
import type { Storage } from '../storage/storage.ts'
import { findTable, listTables, tablesNamed } from './lakehouse.ts'
import type { Project } from './project.ts'
import { type NameInSql, namesInSql } from './query-names.ts'

export interface QueryResult {
  columns: readonly string[]
  /** As DuckDB writes them: `BIGINT`, `DECIMAL(10,2)`. */
  types: readonly string[]
  /** Rows of JSON values, a few thousand at a time; what a double cannot hold exactly is text. */
  batches: AsyncIterable<unknown[][]>
}

/**
 * Runs one SELECT over the lakehouse in DuckDB. Tables are named `main.shop.orders` (or `shop.orders`, or `orders` where
 * that is clear), and as they were with `VERSION AS OF 3`, `TIMESTAMP AS OF '2026-01-31 10:00:00'` or `@v3`. The
 * statement can read the lakehouse and nothing else, and writes nothing. `use` gets the result while the engine is open.
 *
 * @throws IngestError `query.invalid`, `table.missing`, `table.unsupported_feature`, `table.corrupt` (all fix)
 */
export async function query<T>(
  { storage, scratch }: Pick<Project, 'storage' | 'scratch'>,
  sql: string,
  use: (result: QueryResult) => Promise<T>,
): Promise<T> {
  await mkdir(scratch, { recursive: true })
  const folder = await mkdtemp(join(scratch, 'query-'))
  try {
    const instance = await DuckDBInstance.create(':memory:', {
      temp_directory: join(folder, 'spill'),
      autoinstall_known_extensions: 'false',
      autoload_known_extensions: 'false',
    })
    const connection = await instance.connect()
    try {
      await connection.run("set timezone = 'UTC'")
      const text = /^\s*show\s+(all\s+)?tables\s*;?\s*$/i.test(sql)
        ? await tablesSql(storage)
        : await withViews(connection, storage, folder, sql)
      await lockDown(connection, storage, folder)
      const result = await select(connection, text)
      return await use(resultOf(result))
    } catch (error) {
      throw error instanceof IngestError ? error : translate(error)
    } finally {
      connection.closeSync()
      instance.closeSync()
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function tablesSql(storage: Storage): Promise<string> {
  const rows = (await listTables(storage)).map(
    ({ catalog, schema, table }) => `(${[catalog, schema, table].map(literal).join(', ')})`,
  )
  if (rows.length === 0) return "select '' as catalog, '' as schema, '' as \"table\" where false"
  return `select * from (values ${rows.join(', ')}) as t(catalog, schema, "table") order by all`
}

/** Makes a view for each table the statement names, and the statement that reads those. */
async function withViews(connection: DuckDBConnection, storage: Storage, folder: string, sql: string): Promise<string> {
  const names = namesInSql(sql)
  const defined = new Set(
    [...sql.matchAll(/([\p{L}_][\p{L}\p{N}_]*)\s+as\s*(?:not\s+)?(?:materialized\s*)?\(/giu)].map((match) =>
      match[1]!.toLowerCase(),
    ),
  )
  const tables = names.some(({ parts, isTable }) => isTable || parts.length > 1) ? await listTables(storage) : []
  const views = new Set<string>()
  let text = ''
  let at = 0
  for (const name of names) {
    const found = await tableOf(name, tables, defined, storage)
    if (!found) continue
    const view = `${quoted(tableNameText({ ...found.table, table: '' }).slice(0, -1))}.${quoted(viewName(found.table, name))}`
    if (!views.has(view)) {
      await makeView(connection, storage, folder, found.table, name, view)
      views.add(view)
    }
    const whole = found.parts === name.parts.length
    const alias = whole && name.needsAlias && isTravel(name) ? ` as ${quoted(found.table.table)}` : ''
    text += sql.slice(at, name.start) + view + alias
    at = whole ? name.end : name.ends[found.parts - 1]!
  }
  return text + sql.slice(at)
}

const isTravel = ({ version, timestampMs }: NameInSql) => version !== undefined || timestampMs !== undefined

function viewName({ table }: TableName, name: NameInSql): string {
  if (name.version !== undefined) return `${table}@v${name.version}`
  return name.timestampMs === undefined ? table : `${table}@${name.timestampMs}`
}

/** The table a name means, and how many of its parts that takes; undefined when it is a column, a CTE or the engine's own. */
async function tableOf(
  { parts, isTable }: NameInSql,
  tables: readonly TableName[],
  defined: ReadonlySet<string>,
  storage: Storage,
): Promise<{ table: TableName; parts: number } | undefined> {
  for (const count of [3, 2]) {
    const found = parts.length >= count ? tablesNamed(tables, parts.slice(0, count)) : []
    if (found.length === 1) return { table: found[0]!, parts: count }
  }
  if (!isTable || /^(information_schema|pg_catalog)$/i.test(parts[0]!)) return undefined
  if (parts.length === 1 && (defined.has(parts[0]!.toLowerCase()) || tablesNamed(tables, parts).length === 0))
    return undefined
  return { table: await findTable(storage, parts.join('.')), parts: parts.length }
}

async function makeView(
  connection: DuckDBConnection,
  storage: Storage,
  folder: string,
  table: TableName,
  { version, timestampMs }: NameInSql,
  view: string,
) {
  if (Number.isNaN(timestampMs))
    throw new IngestError(
      'query.invalid',
      `TIMESTAMP AS OF needs a time like '2026-01-31 10:00:00', for ${tableNameText(table)}`,
    )
  const snapshot = await readSnapshot(storage, tableRoot(table), {
    ...(version !== undefined && { version }),
    ...(timestampMs !== undefined && { timestampMs }),
  })
  if (!snapshot) throw new IngestError('table.missing', `there is no table ${tableNameText(table)}`)
  const session = {
    folder,
    run: async (text: string) => void (await connection.run(text)),
    rows: async (text: string) => (await connection.runAndReadAll(text)).getRowObjectsJS(),
  }
  const rows = await readTableSql(session, storage, snapshot)
  await connection.run(`create schema if not exists ${view.slice(0, view.lastIndexOf('."'))}`)
  await connection.run(`create view ${view} as ${rows}`)
}

/** From here on the engine reads the lakehouse and its own folder only. */
async function lockDown(connection: DuckDBConnection, storage: Storage, folder: string) {
  const folders = [folder, ...(storage.url.startsWith('file://') ? [fileURLToPath(storage.url)] : [])]
  await connection.run(`set allowed_directories = [${folders.map((path) => literal(`${path}/`)).join(', ')}]`)
  await connection.run('set enable_external_access = false')
  await connection.run('set lock_configuration = true')
}

async function select(connection: DuckDBConnection, sql: string): Promise<DuckDBResult> {
  const statements = await connection.extractStatements(sql)
  if (statements.count !== 1)
    throw new IngestError('query.invalid', `query runs one statement at a time, got ${statements.count}`)
  const statement = await statements.prepare(0)
  if (statement.statementType === StatementType.EXPLAIN) {
    const explained = await connection.prepare(sql.replace(/^\s*explain\s+(analyze\s+)?/i, ''))
    if (explained.statementType === StatementType.SELECT) return statement.stream()
  }
  if (statement.statementType !== StatementType.SELECT)
    throw new IngestError(
      'query.invalid',
      'query only reads: SELECT, WITH, VALUES, DESCRIBE, SUMMARIZE, EXPLAIN or SHOW TABLES',
    )
  return statement.stream()
}

function resultOf(result: DuckDBResult): QueryResult {
  const types = result.columnTypes().map(String)
  return { columns: result.deduplicatedColumnNames(), types, batches: batches(result, types) }
}

async function* batches(result: DuckDBResult, types: readonly string[]): AsyncGenerator<unknown[][], void, undefined> {
  const whole = types.map((type) => /^U?(BIG|HUGE)INT$/.test(type))
  try {
    for await (const rows of result.yieldRowsJson())
      yield rows.map((row) => row.map((value, i) => (whole[i] ? safeNumber(value) : value)))
  } catch (error) {
    throw translate(error)
  }
}

/** The engine gives 64-bit integers as text; most of them a double holds exactly. */
function safeNumber(value: unknown): unknown {
  const number = Number(value)
  return typeof value === 'string' && Number.isSafeInteger(number) ? number : value
}

function translate(cause: unknown): IngestError {
  const text = (cause instanceof Error ? cause.message : String(cause)).trim()
  if (/No space left on device/.test(text))
    return new IngestError('storage.full', 'the folder for spilled data is full; free some space', { cause })
  return new IngestError('query.invalid', text.replace(/^([A-Z][a-z]+ )+Error: /, ''), { cause })
}
