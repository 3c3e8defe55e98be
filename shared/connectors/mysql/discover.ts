import type { ReadMode, SourceTable } from '../../connector/connector.ts'
import { IngestError } from '../../core/errors.ts'
import type { Server } from './server.ts'
import type { Sessions } from './session.ts'
import { type MysqlAttribute, mapColumn } from './types.ts'

/** One table or view as the catalog has it now. */
export interface Relation {
  schema: string
  name: string
  /** TABLE_TYPE: `BASE TABLE`, `VIEW`, `SYSTEM VERSIONED`. */
  kind: string
  engine: string | null
  rows: number | undefined
  bytes: number | undefined
  comment: string
  key: string[]
  attributes: MysqlAttribute[]
}

const system = ['information_schema', 'mysql', 'performance_schema', 'sys']

/** Tables and views, by database and name. System databases, sequences and temporary tables are left out. */
export async function discover(
  sessions: Sessions,
  scope: { schema?: string; table?: string } = {},
): Promise<readonly SourceTable[]> {
  const server = await sessions.server()
  const relations = await readRelations(sessions, server, scope)
  return relations.map((relation) => sourceTable(relation, server, sessions))
}

/**
 * One table.
 *
 * @throws IngestError `source.object_missing` (fix)
 */
export async function describe(sessions: Sessions, table: { schema: string; name: string }): Promise<Relation> {
  const scope = { schema: table.schema, table: table.name }
  const [relation] = await readRelations(sessions, await sessions.server(), scope)
  if (!relation)
    throw new IngestError(
      'source.object_missing',
      `there is no table ${table.schema}.${table.name}, or ${sessions.config.user} may not read it`,
    )
  return relation
}

/** Why changes of a table cannot be captured, whatever the server's settings are; undefined when they can. */
export function notCaptured(relation: Relation, server: Server): string | undefined {
  if (relation.kind !== 'BASE TABLE') return `it is a ${relation.kind.toLowerCase()}`
  if (/^(memory|blackhole|federated|connect|sequence)$/i.test(relation.engine ?? ''))
    return `its engine is ${relation.engine}`
  if (relation.key.length === 0) return 'it has no primary key and no unique key without NULLs'
  const compressed = relation.attributes.find(({ columnType }) => columnType.includes('COMPRESSED'))
  if (compressed) return `its column ${compressed.name} is compressed`
  // Before 10.11.5 the parts of a UUID are stored in another order, and tables made then keep it.
  const old = relation.attributes.find(
    ({ dataType, columnType }) => dataType === 'uuid' && (columnType !== 'uuid' || server.number < 101_105),
  )
  return old && `its column ${old.name} has the old form of uuid`
}

function sourceTable(relation: Relation, server: Server, sessions: Sessions): SourceTable {
  const readable = relation.attributes.filter((attribute) => attribute.readable)
  const cursorCandidates = candidates(readable, relation.key)
  const hidden = relation.attributes.filter((attribute) => !attribute.readable)
  const captured = server.logs && notCaptured(relation, server) === undefined
  const modes: ReadMode[] = [
    ...(captured ? (['cdc'] as const) : []),
    ...(cursorCandidates.length > 0 ? (['query'] as const) : []),
    'snapshot',
  ]
  return {
    schema: relation.schema,
    name: relation.name,
    columns: {
      fields: readable.map((attribute) => {
        const { name, type, nullable } = mapColumn(attribute)
        return { name, type, nullable, ...(attribute.comment && { metadata: { comment: attribute.comment } }) }
      }),
    },
    key: relation.key,
    cursorCandidates,
    modes,
    ...(relation.rows !== undefined && { rowsEstimate: relation.rows }),
    ...(relation.bytes !== undefined && { bytesEstimate: relation.bytes }),
    ...(hidden.length > 0 && {
      unreadable: hidden.map(({ name }) => ({
        column: name,
        reason: `the user ${sessions.config.user} lacks SELECT: grant select (${name}) on ${relation.schema}.${relation.name}`,
      })),
    }),
  }
}

/**
 * Columns that grow with every write, best first: those the server itself sets on every update, moments of the last
 * change by their usual names, then a key of ascending numbers (which sees new rows only).
 */
function candidates(attributes: readonly MysqlAttribute[], key: readonly string[]): string[] {
  const isMoment = ({ dataType }: MysqlAttribute) => dataType === 'timestamp' || dataType === 'datetime'
  const kept = attributes.filter((attribute) => isMoment(attribute) && /on update/i.test(attribute.extra))
  const named = attributes.filter(
    (attribute) =>
      isMoment(attribute) && !kept.includes(attribute) && /upd|modif|chang|last|_ts$/i.test(attribute.name),
  )
  const numbers = attributes.filter(
    ({ name, dataType }) => key.length === 1 && key[0] === name && /int$/.test(dataType),
  )
  return [...kept, ...named, ...numbers].map(({ name }) => name)
}

async function readRelations(
  sessions: Sessions,
  server: Server,
  scope: { schema?: string; table?: string },
): Promise<Relation[]> {
  const conditions: string[] = []
  const values: unknown[] = []
  const restrict = (sql: string, value: unknown) => {
    conditions.push(sql)
    values.push(value)
  }
  if (scope.schema !== undefined) restrict('table_schema = ?', scope.schema)
  else if (sessions.schemas) restrict('table_schema in (?)', sessions.schemas.length > 0 ? sessions.schemas : [''])
  else restrict('table_schema not in (?)', system)
  if (scope.table !== undefined) restrict('table_name = ?', scope.table)
  const where = conditions.join(' and ')
  const ask = (sql: string) => sessions.query<Record<string, string | number | null>>('read the catalog', sql, values)

  // Every column has a name of ours: MySQL 8 calls its own in capitals, whatever the query calls them.
  const tables = await ask(
    `select table_schema as s, table_name as t, table_type as kind, engine as engine, table_rows as n, data_length as bytes, table_comment as comment
     from information_schema.tables where ${where} and table_type in ('BASE TABLE', 'VIEW', 'SYSTEM VERSIONED')`,
  )
  const columns = await ask(
    `select table_schema as s, table_name as t, column_name as name, data_type as dataType, column_type as columnType,
       is_nullable as nullable, character_set_name as charset, collation_name as collation, character_octet_length as octets,
       numeric_precision as \`precision\`, numeric_scale as scale, datetime_precision as fraction, extra as extra, privileges as privileges, column_comment as comment
     from information_schema.columns where ${where} order by table_schema, table_name, ordinal_position`,
  )
  const indexes = await ask(
    `select table_schema as s, table_name as t, index_name as name, column_name as \`column\`, sub_part as part, nullable as nullable
     from information_schema.statistics where ${where} and non_unique = 0 order by table_schema, table_name, index_name, seq_in_index`,
  )
  const checks = server.jsonIsText
    ? await ask(
        `select constraint_schema as s, table_name as t, constraint_name as name from information_schema.check_constraints
         where ${where.replaceAll('table_schema', 'constraint_schema')} and check_clause like 'json\\_valid(%' and check_clause not like '% and %'`,
      )
    : []
  const id = (row: { s?: unknown; t?: unknown }) => JSON.stringify([row.s, row.t])
  const byTable = Map.groupBy(columns, id)
  const keys = Map.groupBy(indexes, id)
  const json = new Set(checks.map((row) => JSON.stringify([row.s, row.t, row.name])))

  return tables
    .map((row): Relation => {
      const sized = row.kind !== 'VIEW' && row.n !== null
      return {
        schema: String(row.s),
        name: String(row.t),
        kind: String(row.kind),
        engine: row.engine as string | null,
        rows: sized ? Number(row.n) : undefined,
        bytes: sized ? Number(row.bytes) : undefined,
        comment: row.kind === 'VIEW' ? '' : String(row.comment ?? ''),
        key: keyOf(keys.get(id(row)) ?? []),
        attributes: (byTable.get(id(row)) ?? []).map((column) => ({
          name: String(column.name),
          dataType: String(column.dataType).toLowerCase(),
          columnType: String(column.columnType),
          nullable: column.nullable === 'YES',
          charset: column.charset as string | null,
          collation: column.collation as string | null,
          octets: numberOf(column.octets),
          precision: numberOf(column.precision),
          scale: numberOf(column.scale),
          fraction: numberOf(column.fraction),
          extra: String(column.extra),
          isJson: json.has(JSON.stringify([column.s, column.t, column.name])),
          readable: /\bselect\b/i.test(String(column.privileges)),
          comment: String(column.comment ?? ''),
        })),
      }
    })
    .filter(({ attributes }) => attributes.length > 0)
    .sort((a, b) => order(a.schema, b.schema) || order(a.name, b.name))
}

const order = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0)
const numberOf = (value: string | number | null | undefined) =>
  value === null || value === undefined ? null : Number(value)

/** The primary key, or the narrowest unique index of whole columns without NULLs. */
function keyOf(rows: readonly Record<string, string | number | null>[]): string[] {
  const indexes = [...Map.groupBy(rows, (row) => String(row.name))]
    .filter(([, parts]) => parts.every(({ column, part, nullable }) => column && part === null && nullable !== 'YES'))
    .sort(([a, x], [b, y]) => Number(b === 'PRIMARY') - Number(a === 'PRIMARY') || x.length - y.length || order(a, b))
  return (indexes[0]?.[1] ?? []).map(({ column }) => String(column))
}
