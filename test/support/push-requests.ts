import { gzipSync, zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { CLICKS } from './push.ts'
import { bombs, damage, damaged, fuzzLimits, lines, mostly } from './push-faults.ts'

export interface HttpRequest {
  method: string
  url: string
  headers: Record<string, string>
  body: string | Uint8Array
  refuse: number | undefined
}

const httpRows = fc.record({
  rows: fc.array(fc.nat(lines.length - 1), { maxLength: 6 }),
  form: fc.constantFrom('array' as const, 'lines' as const),
  encoding: fc.constantFrom('identity' as const, 'gzip' as const, 'zstd' as const),
  damage,
})
const goodUrl = `/zerobus/v1/tables/${CLICKS}/insert`

/** Mostly what an honest client would post, with a fault here and there. */
export const httpRequests: fc.Arbitrary<HttpRequest> = fc
  .record({
    method: mostly('POST', 'GET', 'PUT', ''),
    url: fc.oneof(
      { weight: 9, arbitrary: fc.constant(goodUrl) },
      {
        weight: 2,
        arbitrary: fc.constantFrom(
          '/',
          '//',
          '//[',
          'http://[',
          '*',
          '',
          `${goodUrl}?a=%`,
          '/zerobus/v1/tables/other.events.clicks/insert',
          '/zerobus/v1/tables/main.no.table/insert',
          '/zerobus/v1/tables/main...x/insert',
          '/zerobus/v1/tables/../../etc/insert',
        ),
      },
      { weight: 1, arbitrary: fc.string() },
    ),
    authorization: mostly('Bearer secret', 'Bearer wrong', 'secret', ''),
    encodingName: mostly<string | undefined>(undefined, 'br', 'gzip', 'zstd'),
    key: fc.oneof(
      mostly<string | undefined>(undefined, 'k', 'x'.repeat(300)),
      fc.string({ minLength: 1, maxLength: 5 }),
    ),
    rows: httpRows,
    raw: fc.option(fc.oneof(fc.string(), fc.json(), fc.uint8Array({ maxLength: 60 })), { freq: 8 }),
    size: mostly('small', 'bomb', 'large'),
    refuse: mostly<number | undefined>(undefined, 0),
  })
  .map(({ method, url, authorization, encodingName, key, rows, raw, size, refuse }) => {
    const records = rows.rows.map((row) => lines[row]![0])
    const text = rows.form === 'array' ? `[${records.join(',\n')}]` : records.join('\n')
    const plain = raw ?? damaged(text, rows.damage?.how === 'field' || text === '' ? undefined : rows.damage)
    const compressed =
      rows.encoding === 'identity' ? plain : rows.encoding === 'gzip' ? gzipSync(plain) : zstdCompressSync(plain)
    const bomb = rows.encoding === 'zstd' ? bombs.zstd : bombs.gzip
    const encoding = encodingName ?? (size === 'bomb' && rows.encoding === 'identity' ? 'gzip' : rows.encoding)
    return {
      method,
      url,
      headers: {
        ...(authorization && { authorization }),
        ...(encoding !== 'identity' && { 'content-encoding': encoding }),
        ...(key && { 'idempotency-key': key }),
      },
      body: size === 'bomb' ? bomb : size === 'large' ? Buffer.alloc(fuzzLimits.messageBytes + 1, 32) : compressed,
      refuse,
    }
  })
