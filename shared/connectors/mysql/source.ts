import type { Selection } from '../../connector/connector.ts'
import type { SqlColumn } from '../../connector/sql/dialect.ts'
import { columnNamed, filterSql } from '../../connector/sql/filter.ts'
import { readExpressions, type SqlSource, selectSql } from '../../connector/sql/source.ts'
import { IngestError } from '../../core/errors.ts'
import { dialect, exactDialect, relation as quoted } from './dialect.ts'
import { describe, type Relation } from './discover.ts'
import { pieceSql, splitByKey } from './ranges.ts'
import type { Server } from './server.ts'
import type { Sessions } from './session.ts'
import { type MysqlColumn, mapColumn } from './types.ts'

/** One source table with a pipeline's selection laid over it. */
export interface Source extends SqlSource {
  sessions: Sessions
  server: Server
  relation: Relation
  columns: ReadonlyMap<string, MysqlColumn>
  selected: readonly MysqlColumn[]
  key: readonly MysqlColumn[]
}

/** @throws IngestError `source.object_missing` (fix), `source.permission_denied` (fix) */
export async function openSource(
  sessions: Sessions,
  table: { schema: string; name: string },
  selection: Selection,
): Promise<Source> {
  const server = await sessions.server()
  const relation = await describe(sessions, table)
  const columns = new Map(relation.attributes.map((attribute) => [attribute.name, mapColumn(attribute)]))
  const named = (name: string) => columnNamed(name, columns) as MysqlColumn
  const selected = selection.columns.map(named)
  const denied = selected.filter(({ attribute }) => !attribute.readable)
  if (denied.length > 0)
    throw new IngestError(
      'source.permission_denied',
      `the user ${sessions.config.user} may not read ${table.schema}.${table.name} (${denied.map(({ name }) => name).join(', ')}):` +
        ` grant select on ${quoted(table)} to ${sessions.config.user}`,
    )
  const filtering = selection.mode === 'cdc' ? exactDialect : dialect
  const source: Source = {
    sessions,
    server,
    relation,
    dialect,
    name: `${relation.schema}.${relation.name}`,
    selection,
    columns,
    selected,
    key: selection.key.map(named),
    schema: { fields: selected.map(({ name, type, nullable }) => ({ name, type, nullable })) },
    from: quoted(relation),
    conditions: selection.filter ? [filterSql(selection.filter, columns, filtering)] : [],
    async *read(what, list: readonly SqlColumn[], from, conditions) {
      const cells = list.map((column) => (column as MysqlColumn).cell)
      const sql = selectSql(readExpressions(list, dialect), from, conditions)
      for await (const bytes of sessions.copy(what, sql, cells)) yield { op: 'block', format: 'copy', bytes }
    },
    rows: (what, sql) => sessions.rows(what, sql),
    splitByKey: () => splitByKey(source),
    splitForChanges: () => splitByKey(source),
    pieceSql: (piece) => pieceSql(piece, source),
  }
  return source
}
