import { IngestError } from '../../core/errors.ts'

/**
 * Pages that name the next one. A page that names itself or one that was read already would never end, so it is an error.
 *
 * @throws IngestError `source.protocol_violation` (report)
 */
export async function* followPages<P>(
  first: string,
  read: (path: string) => Promise<P>,
  next: (page: P) => string | undefined,
): AsyncGenerator<P, void, undefined> {
  const seen = new Set<string>()
  for (let path: string | undefined = first; path !== undefined; ) {
    if (seen.has(path)) throw new IngestError('source.protocol_violation', 'the source named a page twice')
    seen.add(path)
    const page: P = await read(path)
    yield page
    path = next(page)
  }
}

/** The address behind `rel="next"` of a `Link` header (RFC 8288). */
export function nextLink(headers: Headers): string | undefined {
  for (const link of (headers.get('link') ?? '').split(/,\s*(?=<)/)) {
    const [, address, parameters] = /^<([^>]*)>(.*)$/.exec(link.trim()) ?? []
    if (parameters !== undefined && /;\s*rel="?([^";]* )?next( [^";]*)?"?\s*(;|$)/i.test(parameters)) return address
  }
  return undefined
}

/** A path with parameters: undefined ones are left out. */
export function withQuery(path: string, parameters: Record<string, string | number | boolean | undefined>): string {
  const given = Object.entries(parameters).filter(([, value]) => value !== undefined)
  if (given.length === 0) return path
  const query = given.map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(String(value))}`)
  return `${path}${path.includes('?') ? '&' : '?'}${query.join('&')}`
}
