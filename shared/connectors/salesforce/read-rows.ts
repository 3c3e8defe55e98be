import { checkpoint, type Message, type Row, upsert } from '../../core/change.ts'
import { IngestError } from '../../core/errors.ts'
import type { Json } from '../../core/json.ts'
import { bulkBlocks, type JobPlace, notForBulk } from './bulk.ts'
import { fitsAnAddress, queryPages, rowsOf } from './rest.ts'
import { soql } from './soql.ts'
import type { Source } from './source.ts'
import type { FieldDescription } from './types.ts'

/** A range of rows: those of some conditions, with after < Id <= upto. */
export interface Range {
  conditions: readonly string[]
  after?: string | undefined
  upto?: string | undefined
  /** Read by the Bulk API. */
  bulk: boolean
  /** The bulk job that reads it, and how far it has come. */
  job?: JobPlace | undefined
}

/**
 * The rows of a range in the order of their ids, as bytes wherever their fields allow. After each page `rest` may make a
 * checkpoint of the range that is left.
 */
export async function* readRows(
  source: Source,
  range: Range,
  rest?: (left: { after?: string | undefined; job?: JobPlace | undefined }) => Json | undefined,
): AsyncGenerator<Message<Json>, void, undefined> {
  const { object, org, columns } = source
  const doing = `read ${object.name}`
  const hasId = object.fields.has('Id')
  const selected = columns.includes('Id') || !hasId ? columns : [...columns, 'Id']
  const query = (after: string | undefined) =>
    soql(selected, object.name, [...range.conditions, ...idRange(after, range.upto)], hasId ? 'by id' : 'none')
  const left = (after: string | undefined, job?: JobPlace) => {
    const place = hasId ? rest?.({ after, job }) : undefined
    return place === undefined ? [] : [checkpoint(place)]
  }

  if ((range.bulk || !fitsAnAddress(query(range.after))) && !source.loose && selected.length === columns.length) {
    try {
      yield* bulkBlocks({ ...source, doing, query: query(range.after) }, range.job, (job, after) =>
        left(after ?? range.after, job),
      )
      return
    } catch (error) {
      if (!notForBulk(error)) throw error
    }
  }
  for await (const page of queryPages(org, doing, query(range.after))) {
    if (page.count === 0) continue
    if (source.loose) for (const row of rowsOf(page)) yield upsert(await looseRow(source, row))
    else yield { op: 'block', format: 'ndjson', bytes: page.array }
    yield* left((page.last as { Id?: string }).Id)
  }
}

const idRange = (after: string | undefined, upto: string | undefined) => [
  ...(after === undefined ? [] : [`Id > '${after}'`]),
  ...(upto === undefined ? [] : [`Id <= '${upto}'`]),
]

/** A row by value: files are fetched, and values of any type become texts. */
async function looseRow(source: Source, row: Record<string, unknown>): Promise<Row> {
  const values: Row = {}
  for (const field of source.fields) values[field.name] = await looseValue(source, field, row[field.name] ?? null)
  return values
}

async function looseValue({ org, object }: Source, { name, type }: FieldDescription, value: unknown) {
  if (value === null) return null
  if (type === 'anyType') return String(value)
  if (type !== 'base64') return value
  if (typeof value !== 'string' || !value.startsWith('/services/data/'))
    throw new IngestError('source.protocol_violation', `${object.name}.${name} is not the address of a file`)
  return (await org.client.bytes({ doing: `read a file of ${object.name}.${name}`, path: value })).body
}
