import { betweenPlaces, type Place } from '../../connector/sql/order.ts'
import { keyPieces, type Piece } from '../../connector/sql/pieces.ts'
import { invariant } from '../../core/errors.ts'
import type { Source } from './source.ts'

/** About this many bytes of table are one piece: some seconds of work, so that a kill costs little. */
const pieceBytes = 64 << 20
/** Tables below this are one piece: splitting costs more than it gains. */
const smallBytes = 16 << 20
const mostPieces = 2000

/**
 * Ranges of the key, each row in exactly one whatever happens to the table. Whole numbers are cut into equal spans of
 * their values, found by one look at each end of the index; other keys by walking the index from border to border. One
 * piece for small tables, for keys that are not the table's own and for those whose order is not that of their texts.
 */
export async function splitByKey(source: Source): Promise<Piece[]> {
  const { relation, key, selection } = source
  const bytes = relation.bytes ?? 0
  const own = relation.key.join() === key.map(({ name }) => name).join()
  if (!own || key.length === 0 || bytes < smallBytes || key.some(({ ordered }) => !ordered)) return [{ kind: 'all' }]
  const count = Math.min(mostPieces, Math.max(Math.ceil(bytes / pieceBytes), selection.parallelism))
  const [first] = key
  const whole = ['byte', 'short', 'integer', 'long'].includes(first!.type.kind)
  const borders = key.length === 1 && whole ? await spans(source, count) : await walk(source, count)
  return borders.length === 0 ? [{ kind: 'all' }] : keyPieces(borders)
}

async function spans(source: Source, count: number): Promise<Place[]> {
  const { dialect, key, sessions } = source
  const name = dialect.identifier(key[0]!.name)
  const [row] = await sessions.query<{ low: string | null; high: string | null }>(
    `measure ${source.name}`,
    `select cast(min(${name}) as char) as low, cast(max(${name}) as char) as high from ${source.from}`,
  )
  if (row?.low == null || row.high == null) return []
  const low = BigInt(row.low)
  const span = BigInt(row.high) - low + 1n
  const borders = new Set(
    Array.from({ length: count - 1 }, (_, index) => low + (span * BigInt(index + 1)) / BigInt(count)),
  )
  return [...borders].map((border) => [String(border)])
}

/** Each border is found behind the one before: the index is read once in all, not once for each. */
async function walk(source: Source, count: number): Promise<Place[]> {
  const { dialect, key, relation, sessions } = source
  const step = Math.max(1, Math.floor((relation.rows ?? count) / count))
  const names = key.map(({ name }) => dialect.identifier(name))
  const places = key.map((column, index) => `${dialect.place(names[index]!, column)} as k${index}`)
  const borders: Place[] = []
  while (borders.length < mostPieces) {
    const after = betweenPlaces(key, borders.at(-1), undefined, dialect)
    const [row] = await sessions.query<Record<string, unknown>>(
      `measure ${source.name}`,
      `select ${places.join(', ')} from ${source.from}${after.length > 0 ? ` where ${after[0]}` : ''}
       order by ${names.join(', ')} limit 1 offset ${step - 1}`,
    )
    if (!row) return borders
    borders.push(key.map((_, index) => String(row[`k${index}`])))
  }
  return borders
}

/** FROM and conditions of one piece. */
export function pieceSql(piece: Piece, source: Source): { from: string; conditions: string[] } {
  invariant(piece.kind !== 'pages', 'this source has no pages to read by')
  if (piece.kind === 'all') return { from: source.from, conditions: [] }
  return { from: source.from, conditions: betweenPlaces(source.key, piece.after, piece.upto, source.dialect) }
}
