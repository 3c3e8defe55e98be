import type { ReadMode, SourceTable } from '../../connector/connector.ts'
import { IngestError } from '../../core/errors.ts'
import type { LogicalType } from '../../schema/types.ts'
import type { Sessions } from './session.ts'
import { mapColumn, type PgAttribute, type PgType, type PgTypes } from './types.ts'

/** One relation as the catalog has it now. */
export interface Relation {
  oid: number
  schema: string
  name: string
  /** pg_class.relkind: r table, p partitioned table, v view, m materialised view, f foreign table. */
  kind: string
  /** Permanent and logged: its changes reach the write-ahead log. */
  logged: boolean
  /** pg_class.relreplident: d primary key, n nothing, f full, i index. */
  identity: string
  readable: boolean
  rows: number | undefined
  bytes: number | undefined
  comment: string | undefined
  key: string[]
  /** Columns that the log carries of a row that was changed or deleted. */
  identityColumns: string[]
  attributes: (PgAttribute & { readable: boolean; comment: string | undefined })[]
}

/** Tables, partitioned tables, views, materialised views and foreign tables, by schema and name. Partitions are read through their root. */
export async function discover(
  sessions: Sessions,
  scope: { schema?: string; table?: string } = {},
): Promise<readonly SourceTable[]> {
  const relations = await readRelations(sessions, scope)
  const types = await readTypes(sessions, relations)
  const logical = await canDecode(sessions)
  return relations.map((relation) => sourceTable(relation, types, sessions, logical))
}

/**
 * One relation with its types.
 *
 * @throws IngestError `source.object_missing` (fix)
 */
export async function describe(
  sessions: Sessions,
  table: { schema: string; name: string },
): Promise<{ relation: Relation; types: PgTypes }> {
  const [relation] = await readRelations(sessions, { schema: table.schema, table: table.name })
  if (!relation)
    throw new IngestError(
      'source.object_missing',
      `there is no table ${table.schema}.${table.name} in the database ${sessions.config.database}, or this user may not use the schema`,
    )
  return { relation, types: await readTypes(sessions, [relation]) }
}

function sourceTable(relation: Relation, types: PgTypes, sessions: Sessions, logical: boolean): SourceTable {
  const readable = relation.attributes.filter((attribute) => relation.readable || attribute.readable)
  const columns = readable.map((attribute) => ({
    ...attribute,
    ...mapColumn(attribute, types, sessions.config),
  }))
  const cursorCandidates = candidates(columns, relation.key)
  const hidden = relation.attributes.filter((attribute) => !readable.includes(attribute))
  return {
    catalog: sessions.config.database,
    schema: relation.schema,
    name: relation.name,
    columns: {
      fields: columns.map(({ name, type, notNull, comment }) => ({
        name,
        type,
        nullable: !notNull,
        ...(comment !== undefined && { metadata: { comment } }),
      })),
    },
    key: relation.key,
    cursorCandidates,
    modes: modes(relation, cursorCandidates.length > 0, logical),
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

function modes(relation: Relation, hasCursor: boolean, logical: boolean): ReadMode[] {
  const captured =
    (relation.kind === 'r' || relation.kind === 'p') && relation.logged && relation.identityColumns.length > 0
  return [...(captured && logical ? (['cdc'] as const) : []), ...(hasCursor ? (['query'] as const) : []), 'snapshot']
}

/**
 * Columns that grow with every write, best first: moments of the last change by their usual names, then a key of
 * ascending numbers (which sees new rows only). Any other moment may stand still while its row changes.
 */
function candidates(columns: readonly (PgAttribute & { type: LogicalType })[], key: readonly string[]): string[] {
  const named = columns.filter(
    ({ name, type }) => type.kind === 'timestamp' && /upd|modif|chang|last|sys_?period|_ts$/i.test(name),
  )
  const numbers = columns.filter(
    ({ name, type }) => key.length === 1 && key[0] === name && (type.kind === 'long' || type.kind === 'integer'),
  )
  return [...named, ...numbers].map(({ name }) => name)
}

async function canDecode(sessions: Sessions): Promise<boolean> {
  const [row] = await sessions.query('read the server settings', `select current_setting('wal_level') as level`)
  return row!.level === 'logical'
}

async function readRelations(sessions: Sessions, scope: { schema?: string; table?: string }): Promise<Relation[]> {
  const rows = await sessions.query(
    'read the catalog',
    `select c.oid::int8 as oid, n.nspname as schema, c.relname as name, c.relkind::text as kind,
       c.relpersistence = 'p' as logged, c.relreplident::text as identity,
       has_table_privilege(c.oid, 'select') as readable,
       case when c.relkind = 'p' then (select sum(greatest(l.reltuples, 0)) from pg_partition_tree(c.oid) t join pg_class l on l.oid = t.relid where t.isleaf)
            when c.reltuples > 0 or (c.reltuples = 0 and c.relpages > 0) then c.reltuples end::float8 as rows,
       case when c.relkind = 'p' then (select sum(pg_table_size(t.relid)) from pg_partition_tree(c.oid) t where t.isleaf)
            when c.relkind in ('r', 'm') then pg_table_size(c.oid) end::float8 as bytes,
       obj_description(c.oid, 'pg_class') as comment,
       (select coalesce(json_agg(a.attname order by k.n), '[]') from (
          select i.indkey from pg_index i
          where i.indrelid = c.oid and i.indisunique and i.indisvalid and i.indimmediate and i.indpred is null and i.indexprs is null
            and not exists (select 1 from pg_attribute a where a.attrelid = c.oid and a.attnum = any (i.indkey[0:i.indnkeyatts - 1]) and not a.attnotnull)
          order by i.indisprimary desc, i.indnkeyatts, i.indexrelid limit 1) i,
          unnest(i.indkey::int2[]) with ordinality as k(attnum, n)
          join pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum
          where k.n <= (select x.indnkeyatts from pg_index x where x.indrelid = c.oid and x.indkey = i.indkey order by x.indisprimary desc, x.indnkeyatts limit 1)) as key,
       (select coalesce(json_agg(a.attname order by a.attnum), '[]') from pg_attribute a
          where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and (c.relreplident = 'f'
            or a.attnum = any ((select i.indkey::int2[] from pg_index i where i.indrelid = c.oid
                 and ((c.relreplident = 'd' and i.indisprimary) or (c.relreplident = 'i' and i.indisreplident)))::int2[]))) as "identityColumns",
       (select coalesce(json_agg(json_build_object('name', a.attname, 'typeOid', a.atttypid::int8, 'typmod', a.atttypmod,
            'dimensions', a.attndims, 'notNull', a.attnotnull, 'number', a.attnum, 'generated', a.attgenerated::text, 'filled', a.atthasmissing,
            'readable', has_column_privilege(c.oid, a.attnum, 'select'), 'comment', col_description(c.oid, a.attnum)) order by a.attnum), '[]')
          from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as attributes
     from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind in ('r', 'p', 'v', 'm', 'f') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
       and has_schema_privilege(n.oid, 'usage')
       and ($1::text is null or n.nspname = $1) and ($2::text is null or c.relname = $2) and (not c.relispartition or $2 is not null)
       and ($3::text[] is null or n.nspname = any ($3))
     order by n.nspname collate "C", c.relname collate "C"`,
    [scope.schema ?? null, scope.table ?? null, sessions.config.schemas ?? null],
  )
  return rows.map((row) => {
    const relation = row as unknown as Relation & { oid: string; attributes: { comment: string | null }[] }
    return {
      ...relation,
      oid: Number(relation.oid),
      rows: relation.rows ?? undefined,
      bytes: relation.bytes ?? undefined,
      comment: relation.comment ?? undefined,
      attributes: relation.attributes.map((attribute) => ({ ...attribute, comment: attribute.comment ?? undefined })),
    }
  })
}

/** The types of all columns, and the ones these are made of. */
async function readTypes(sessions: Sessions, relations: readonly Relation[]): Promise<PgTypes> {
  const types = new Map<number, PgType>()
  let wanted = relations.flatMap((relation) => relation.attributes.map((attribute) => attribute.typeOid))
  while (wanted.length > 0) {
    const rows = await sessions.query(
      'read the catalog',
      `select oid::int8 as oid, format_type(oid, null) as "sqlName", typname as name, typtype::text as kind,
         typelem::int8 as element, (typcategory = 'A' and typelem <> 0) as "isArray", typbasetype::int8 as "baseType",
         typtypmod as "baseTypmod", typndims as "baseDimensions", coalesce((select e.typdelim from pg_type e where e.oid = t.typelem), ',')::text as delimiter,
         (select coalesce(json_agg(json_build_object('name', a.attname, 'typeOid', a.atttypid::int8) order by a.attnum), '[]')
            from pg_attribute a where t.typtype = 'c' and a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped) as attributes
       from pg_type t where oid = any ($1::oid[])`,
      [[...new Set(wanted)]],
    )
    for (const row of rows) {
      const type = row as unknown as PgType
      types.set(Number(type.oid), {
        ...type,
        oid: Number(type.oid),
        element: Number(type.element),
        baseType: Number(type.baseType),
      })
    }
    wanted = [...types.values()]
      .flatMap((type) => [
        type.isArray ? type.element : 0,
        type.baseType,
        ...type.attributes.map((attribute) => attribute.typeOid),
      ])
      .filter((oid) => oid !== 0 && !types.has(oid))
  }
  return types
}
