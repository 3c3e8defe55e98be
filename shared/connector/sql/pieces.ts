import * as z from 'zod'
import { IngestError } from '../../core/errors.ts'
import type { Json } from '../../core/json.ts'
import type { Place } from './order.ts'

/**
 * One independent, resumable part of a table. `key`: rows with after < key <= upto; each row is in one piece however it
 * moves on disk. `pages`: physical pages [from, to) of one storage (a table or a leaf partition); cheapest to read, and
 * right only where a changefeed tells of the rows that moved meanwhile. `all`: the whole in one statement.
 */
export type Piece =
  | { kind: 'all' }
  | { kind: 'key'; after?: string[]; upto?: string[] }
  | { kind: 'pages'; schema: string; table: string; from: number; to?: number }

const place = z.array(z.string())
const piece = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('all') }),
  z.strictObject({ kind: z.literal('key'), after: place.optional(), upto: place.optional() }),
  z.strictObject({
    kind: z.literal('pages'),
    schema: z.string(),
    table: z.string(),
    from: z.number().int().nonnegative(),
    to: z.number().int().positive().optional(),
  }),
])

/** @throws IngestError `state.invalid` (fix) for what `split` of this version did not make */
export function parsePiece(json: Json): Piece {
  const parsed = piece.safeParse(json)
  if (!parsed.success) throw new IngestError('state.invalid', 'a stored piece of a backfill is not understood')
  return parsed.data as Piece
}

/** Borders b1 < b2 < ... as the pieces (-, b1], (b1, b2], ..., (bn, +). */
export function keyPieces(borders: readonly Place[]): Piece[] {
  const pieces: Piece[] = []
  for (let index = 0; index <= borders.length; index++) {
    const after = borders[index - 1]
    const upto = borders[index]
    pieces.push({ kind: 'key', ...(after && { after: [...after] }), ...(upto && { upto: [...upto] }) })
  }
  return pieces
}

/** `pages` cut into runs of at most `perPiece`. The last is open: the storage may have grown since it was measured. */
export function pagePieces(storage: { schema: string; table: string; pages: number }, perPiece: number): Piece[] {
  const { schema, table, pages } = storage
  const count = Math.max(1, Math.ceil(pages / perPiece))
  return Array.from({ length: count }, (_, index) => ({
    kind: 'pages',
    schema,
    table,
    from: index * perPiece,
    ...(index < count - 1 && { to: (index + 1) * perPiece }),
  }))
}
