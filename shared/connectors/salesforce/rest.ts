import { IncompleteBody } from '../../connector/http/errors.ts'
import { type JsonPage, splitJsonPage } from '../../connector/http/json-page.ts'
import { followPages, withQuery } from '../../connector/http/pages.ts'
import { IngestError } from '../../core/errors.ts'
import type { Org } from './org.ts'

/** The longest address of a query that the org takes, with some room for the rest of the request. */
const MAX_QUERY_CHARACTERS = 14_000

export const fitsAnAddress = (query: string) => encodeURIComponent(query).length <= MAX_QUERY_CHARACTERS

/**
 * The pages of a query, up to 2,000 rows each, whole. `all` reads deleted and archived rows too (REST API Developer
 * Guide, "Query" and "QueryAll").
 *
 * @throws IngestError `source.unavailable` (retry) when the pages hold fewer rows than the query found
 */
export async function* queryPages(
  org: Org,
  doing: string,
  query: string,
  all = false,
): AsyncGenerator<JsonPage, void, undefined> {
  let rows = 0
  let found = 0
  const read = (path: string) =>
    org.client.read({ doing, path, headers: { 'sforce-query-options': 'batchSize=2000' } }, async ({ chunks }) => {
      const parts: Uint8Array[] = []
      for await (const chunk of chunks) parts.push(chunk)
      const page = splitJsonPage(Buffer.concat(parts), 'records')
      if (page.rest.done === false && typeof page.rest.nextRecordsUrl !== 'string')
        throw new IncompleteBody('a page says that there are more and does not name the next one')
      return page
    })
  const next = ({ rest }: JsonPage) => (rest.done === false ? (rest.nextRecordsUrl as string) : undefined)
  for await (const page of followPages(withQuery(org.path(all ? '/queryAll' : '/query'), { q: query }), read, next)) {
    rows += page.count
    found = Number(page.rest.totalSize ?? 0)
    yield page
  }
  if (rows < found)
    throw new IngestError('source.unavailable', `${doing}: the org found ${found} rows and gave ${rows}`)
}

/** How many rows a query finds; undefined when counting takes the org too long. */
export async function countRows(org: Org, object: string, conditions: readonly string[]): Promise<number | undefined> {
  const where = conditions.length > 0 ? ` WHERE ${conditions.map((each) => `(${each})`).join(' AND ')}` : ''
  try {
    for await (const { rest } of queryPages(org, `count ${object}`, `SELECT COUNT() FROM ${object}${where}`))
      return Number(rest.totalSize)
  } catch (error) {
    if (!(error instanceof IngestError) || error.remedy !== 'retry') throw error
  }
  return undefined
}

/** Rows of a page as values; numbers keep the digits of their text. The org's own `attributes` are taken off. */
export function rowsOf(page: JsonPage): Record<string, unknown>[] {
  const exact = (_: string, value: unknown, { source }: { source?: string }) =>
    typeof value === 'number' ? source : value
  const parse = JSON.parse as (text: string, reviver: typeof exact) => Record<string, unknown>[]
  return parse(Buffer.from(page.array).toString('utf8'), exact).map(({ attributes: _, ...row }) => row)
}
