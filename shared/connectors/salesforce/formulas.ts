import { checkpoint, type Message } from '../../core/change.ts'
import type { Json } from '../../core/json.ts'
import { queryPages, rowsOf } from './rest.ts'
import { soql } from './soql.ts'
import type { Source } from './source.ts'

/** When formula columns were last read whole, and how far the reading that is under way has come. */
export interface FormulaPlace {
  atMs: number
  sinceMs?: number | undefined
  after?: string | undefined
}

/** Selected columns whose values change without their row. */
export const formulaColumns = ({ fields }: Source) =>
  fields.filter(({ calculated }) => calculated).map(({ name }) => name)

/**
 * Key and formula columns of every row of some conditions, as rows that leave the other columns as they are. In the order
 * of ids, with a checkpoint a page, so that a large object takes as many runs as it needs.
 */
export async function* readFormulas(
  source: Source,
  {
    conditions,
    cursor,
    place,
    nowMs,
  }: { conditions: readonly string[]; cursor: string; place: FormulaPlace; nowMs: number },
  at: (place: FormulaPlace) => Json,
): AsyncGenerator<Message<Json>, void, undefined> {
  const { org, object, columns } = source
  const carried = new Set(['Id', ...(columns.includes(cursor) ? [cursor] : []), ...formulaColumns(source)])
  const absent = columns.filter((name) => !carried.has(name))
  const sinceMs = place.sinceMs ?? nowMs
  const range = place.after === undefined ? [] : [`Id > '${place.after}'`]
  const query = soql([...carried], object.name, [...conditions, ...range], 'by id')
  for await (const page of queryPages(org, `read the formulas of ${object.name}`, query)) {
    if (page.count === 0) continue
    for (const row of rowsOf(page)) yield { op: 'upsert', row, absent }
    yield checkpoint(at({ atMs: place.atMs, sinceMs, after: (page.last as { Id: string }).Id }))
  }
  yield checkpoint(at({ atMs: sinceMs }))
}
