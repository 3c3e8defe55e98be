import { betweenPlaces, type Place } from '../../connector/sql/order.ts'
import { keyPieces, type Piece, pagePieces } from '../../connector/sql/pieces.ts'
import { dialect, relation as quoted } from './dialect.ts'
import { fromClause, naming, type Source } from './source.ts'

/** About this many bytes of table are one piece: some seconds of work, so that a kill costs little. */
const pieceBytes = 64 << 20
/** Tables below this are one piece: splitting costs more than it gains. */
const smallBytes = 8 << 20
const mostPieces = 2000

/**
 * Pieces for a read that a changefeed completes: physical pages where the server can scan a range of them (tables of
 * version 14 and later), the cheapest way there is. A row that moves meanwhile is in the changefeed.
 */
export async function splitByPages(source: Source): Promise<Piece[]> {
  const { sessions, relation } = source
  if (relation.kind !== 'r' && relation.kind !== 'p') return splitByKey(source)
  const storages = await sessions.query(
    naming('measure', source),
    `select n.nspname as schema, c.relname as table, c.relkind::text as kind,
       case when c.relkind = 'r' then (pg_relation_size(c.oid) / current_setting('block_size')::int)::float8 end as pages,
       current_setting('block_size')::int as "blockSize", current_setting('server_version_num')::int as version, am.amname as method
     from (select $1::oid as oid where $2 = 'r' union all select relid from pg_partition_tree($1::oid) where isleaf and $2 = 'p') leaf
       join pg_class c on c.oid = leaf.oid join pg_namespace n on n.oid = c.relnamespace left join pg_am am on am.oid = c.relam
     order by 1, 2`,
    [relation.oid, relation.kind],
  )
  // A partition that is a foreign table has no pages here, and other access methods may give ctid another meaning.
  const usable = storages.every((storage) => storage.method === 'heap' && Number(storage.version) >= 140000)
  if (!usable) return splitByKey(source)
  return storages.flatMap((storage) => {
    const pages = Number(storage.pages)
    const bytes = pages * Number(storage.blockSize)
    const perPiece = Math.max(1, Math.floor(Math.max(pieceBytes, bytes / mostPieces) / Number(storage.blockSize)))
    const small = bytes < smallBytes * 2
    return pagePieces(
      { schema: String(storage.schema), table: String(storage.table), pages },
      small ? Math.max(1, pages) : Math.min(perPiece, Math.ceil(pages / source.selection.parallelism)),
    )
  })
}

/**
 * Pieces that hold each row exactly once whatever happens to the table between two of them: ranges of the key, with
 * borders sampled so that they are about equal. One piece for small tables and where there is no key of the source.
 */
export async function splitByKey(source: Source): Promise<Piece[]> {
  const { relation, sessions } = source
  const bytes = relation.bytes ?? 0
  const own = relation.key.join() === source.key.map(({ name }) => name).join()
  if (!own || source.key.length === 0 || bytes < smallBytes * 2) return [{ kind: 'all' }]
  if (relation.kind !== 'r' && relation.kind !== 'p') return [{ kind: 'all' }]

  const count = Math.min(mostPieces, Math.max(Math.ceil(bytes / pieceBytes), source.selection.parallelism))
  // About 300 sampled rows a piece put a border within some percent of where it belongs.
  const percent = Math.min(100, (count * 300 * 100) / Math.max(relation.rows ?? bytes / 100, 1))
  // Inside, columns have names of ours only, so that none of the table's is taken for another.
  const keys = source.key.map((_, index) => `k${index}`)
  const named = source.key.map(({ name }, index) => `${dialect.identifier(name)} as k${index}`)
  const rows = await sessions.query(
    naming('sample', source),
    `select ${keys.map((key) => `${key}::text as ${key}`).join(', ')} from (
       select *, row_number() over (order by ${keys.join(', ')}) as place, count(*) over () as total
       from (select ${named.join(', ')} from ${fromClause(relation)} tablesample system (${percent})) sample) numbered
     where place % greatest(total / ${count}, 1) = 0 order by place`,
  )
  const borders = rows.map((row) => source.key.map((_, index) => String(row[`k${index}`])) as Place)
  return borders.length === 0 ? [{ kind: 'all' }] : keyPieces(borders)
}

/** FROM and conditions of one piece. */
export function pieceSql(piece: Piece, source: Source): { from: string; conditions: string[] } {
  switch (piece.kind) {
    case 'all':
      return { from: source.from, conditions: [] }
    case 'key':
      return { from: source.from, conditions: betweenPlaces(source.key, piece.after, piece.upto, dialect) }
    case 'pages':
      return {
        from: `only ${quoted({ schema: piece.schema, name: piece.table })}`,
        conditions: [
          ...(piece.from > 0 ? [`ctid >= '(${piece.from},0)'::tid`] : []),
          ...(piece.to !== undefined ? [`ctid < '(${piece.to},0)'::tid`] : []),
        ],
      }
  }
}
