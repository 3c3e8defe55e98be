import * as z from 'zod'
import type { Message } from '../../core/change.ts'
import { IngestError } from '../../core/errors.ts'
import type { Json } from '../../core/json.ts'
import { deleteLeftJobs } from './bulk.ts'
import { readRows } from './read-rows.ts'
import { countRows, queryPages } from './rest.ts'
import type { Source } from './source.ts'

/** Rows with after < Id <= upto. `job`: the bulk job that reads them and how far it has come. */
const Piece = z.strictObject({
  after: z.string().optional(),
  upto: z.string().optional(),
  bulk: z.boolean(),
  job: z.strictObject({ id: z.string(), locator: z.string().optional() }).optional(),
})

/** Ranges of ids that together are every row of some conditions: one when there are few, or when they have no id. */
export async function splitById(source: Source, conditions: readonly string[]): Promise<readonly Json[]> {
  const { org, object, loose } = source
  const { bulk_threshold_rows, bulk_chunk_rows } = org.config
  if (loose || !object.fields.has('Id')) return [{ bulk: false }]
  const count = await countRows(org, object.name, conditions)
  if (count !== undefined && count <= bulk_threshold_rows) return [{ bulk: false }]
  await deleteLeftJobs(org, object.name).catch((error: unknown) => {
    // Tidying up is no reason not to read.
    if (!(error instanceof IngestError)) throw error
  })
  const first = await firstId(source, '')
  const last = await firstId(source, ' DESC')
  if (first === undefined || last === undefined) return [{ bulk: true }]
  // An object that takes too long to count is large.
  const borders = idBorders(first, last, count === undefined ? 16 : Math.ceil(count / bulk_chunk_rows))
  return [undefined, ...borders].map((after, index) => ({
    bulk: true,
    ...(after !== undefined && { after }),
    ...(borders[index] !== undefined && { upto: borders[index] }),
  }))
}

/** The rows of one piece; a checkpoint after each page is the piece that is left. */
export function readPiece(source: Source, json: Json, conditions: readonly string[]): AsyncIterable<Message<Json>> {
  const parsed = Piece.safeParse(json)
  if (!parsed.success) throw new IngestError('state.invalid', 'a stored piece of a copy is not understood')
  const piece = parsed.data
  return readRows(source, { ...piece, conditions }, ({ after, job }) => ({
    bulk: piece.bulk,
    ...(piece.upto !== undefined && { upto: piece.upto }),
    ...(after !== undefined && { after }),
    ...(job && { job: { id: job.id, ...(job.locator !== undefined && { locator: job.locator }) } }),
  }))
}

const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

/**
 * Ids that cut the ids from `first` to `last` into `parts` ranges of equal width. The first fifteen characters of an id are a
 * number in base 62 that counts up, in the order in which the org compares ids; ranges need not hold equally many rows.
 */
export function idBorders(first: string, last: string, parts: number): string[] {
  const [from, to] = [numberOf(first), numberOf(last)]
  const borders = new Set<string>()
  for (let part = 1n; part < BigInt(parts); part++) {
    const border = idOf(from + ((to - from) * part) / BigInt(parts))
    if (border > first.slice(0, 15) && border < last.slice(0, 15)) borders.add(border)
  }
  return [...borders]
}

function numberOf(id: string): bigint {
  let number = 0n
  for (const letter of id.slice(0, 15)) number = number * 62n + BigInt(DIGITS.indexOf(letter))
  return number
}

function idOf(number: bigint): string {
  let id = ''
  for (let rest = number; id.length < 15; rest /= 62n) id = DIGITS[Number(rest % 62n)] + id
  return id
}

async function firstId({ org, object }: Source, order: string): Promise<string | undefined> {
  const query = `SELECT Id FROM ${object.name} ORDER BY Id${order} LIMIT 1`
  for await (const { last } of queryPages(org, `find the ids of ${object.name}`, query))
    return (last as { Id: string } | undefined)?.Id
  return undefined
}
