import type { Selection } from '../../connector/connector.ts'
import type { SqlColumn } from '../../connector/sql/dialect.ts'
import { columnNamed, filterSql, type SqlColumns } from '../../connector/sql/filter.ts'
import { IngestError } from '../../core/errors.ts'
import { COLUMN_ID } from '../../schema/column-marks.ts'
import type { Schema } from '../../schema/types.ts'
import { dialect, relation as quoted } from './dialect.ts'
import { describe, type Relation } from './discover.ts'
import type { Sessions } from './session.ts'
import { mapColumn, type PgTypes } from './types.ts'

/** One source table with a pipeline's selection laid over it: everything its streams put into SQL. */
export interface Source {
  sessions: Sessions
  relation: Relation
  types: PgTypes
  selection: Selection
  /** All readable columns of the table. */
  columns: SqlColumns
  /** The selected ones, in the order of the rows. */
  selected: readonly SqlColumn[]
  key: readonly SqlColumn[]
  schema: Schema
  /** What to put after FROM. */
  from: string
  /** The pushed-down filter. */
  conditions: readonly string[]
}

/** @throws IngestError `source.object_missing` (fix), `source.permission_denied` (fix) */
export async function openSource(
  sessions: Sessions,
  table: { schema: string; name: string },
  selection: Selection,
): Promise<Source> {
  const { relation, types } = await describe(sessions, table)
  const columns: SqlColumns = new Map(
    relation.attributes.map((attribute) => [attribute.name, mapColumn(attribute, types, sessions.config)]),
  )
  const selected = selection.columns.map((name) => columnNamed(name, columns))
  const denied = relation.attributes.filter(
    ({ name, readable }) => !relation.readable && !readable && selected.some((column) => column.name === name),
  )
  if (denied.length > 0)
    throw new IngestError(
      'source.permission_denied',
      `the user ${sessions.config.user} may not read ${table.schema}.${table.name}` +
        ` (${denied.map(({ name }) => name).join(', ')}): grant select on ${quoted(table)} to ${sessions.config.user}`,
    )
  return {
    sessions,
    relation,
    types,
    selection,
    columns,
    selected,
    key: selection.key.map((name) => columnNamed(name, columns)),
    schema: {
      fields: selected.map(({ name, type, nullable }) => ({ name, type, nullable, metadata: idOf(relation, name) })),
    },
    from: fromClause(relation),
    conditions: selection.filter ? [filterSql(selection.filter, columns, dialect)] : [],
  }
}

/** A column keeps its number while its table lives, whatever it is called. */
const idOf = ({ oid, attributes }: Relation, column: string) => ({
  [COLUMN_ID]: `${oid}.${attributes.find(({ name }) => name === column)!.number}`,
})

/** A table means its own rows: tables that inherit from it are tables of their own, as pg_dump and replication see it. */
export const fromClause = (relation: { kind: string; schema: string; name: string }) =>
  `${relation.kind === 'r' ? 'only ' : ''}${quoted(relation)}`

/** `select` of some columns; conditions are joined by AND. */
export function select(columns: readonly SqlColumn[], from: string, conditions: readonly string[]): string {
  const list = columns.map((column) => column.read(dialect.identifier(column.name))).join(', ')
  return `select ${list} from ${from}${conditions.length > 0 ? ` where ${conditions.join(' and ')}` : ''}`
}

/** What is being done, for errors: `read shop.orders`. */
export const naming = (verb: string, source: Source) => `${verb} ${source.relation.schema}.${source.relation.name}`
