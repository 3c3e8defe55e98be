import type { SqlColumn } from '../../connector/sql/dialect.ts'
import type { SqlSource } from '../../connector/sql/source.ts'
import { copyBlocks } from './copy-blocks.ts'
import { dialect } from './dialect.ts'
import { pieceSql, splitByKey, splitByPages } from './ranges.ts'
import { type Source, select } from './source.ts'

/** A table of PostgreSQL as the SQL kit reads it. */
export function sqlSource(source: Source): SqlSource {
  return {
    ...source,
    dialect,
    name: `${source.relation.schema}.${source.relation.name}`,
    read: (what, columns: readonly SqlColumn[], from, conditions) =>
      copyBlocks(source.sessions, what, select(columns, from, conditions)),
    rows: (what, sql) => source.sessions.rows(what, sql),
    splitByKey: () => splitByKey(source),
    splitForChanges: () => splitByPages(source),
    pieceSql: (piece) => pieceSql(piece, source),
  }
}
