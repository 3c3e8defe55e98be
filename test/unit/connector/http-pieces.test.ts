import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { CsvRecords } from '../../../shared/connector/http/csv-records.ts'
import { IncompleteBody, networkError, refusalError } from '../../../shared/connector/http/errors.ts'
import { splitJsonPage } from '../../../shared/connector/http/json-page.ts'
import { followPages, nextLink, withQuery } from '../../../shared/connector/http/pages.ts'
import { Retry, retryAfterMs } from '../../../shared/connector/http/retry.ts'
import { Tokens } from '../../../shared/connector/http/tokens.ts'
import { IngestError } from '../../../shared/core/errors.ts'
import { parseCsv } from '../../support/block-rows.ts'
import { leapingClock } from '../../support/sync-world.ts'

test('Retry-After is understood as seconds and as a date on the clock of the source', () => {
  const at = (value: string, more = {}) => retryAfterMs(new Headers({ 'retry-after': value, ...more }), 0)

  expect(at('120')).toBe(120_000)
  expect(at('1.5')).toBe(1_500)
  expect(at('Mon, 05 Jan 2026 12:00:30 GMT', { date: 'Mon, 05 Jan 2026 12:00:00 GMT' })).toBe(30_000)
  expect(at('Thu, 01 Jan 1970 00:00:10 GMT')).toBe(10_000)
  expect(at('Mon, 05 Jan 2026 11:00:00 GMT', { date: 'Mon, 05 Jan 2026 12:00:00 GMT' })).toBe(0)
  expect(at('soon')).toBeUndefined()
})

test('pauses grow up to a limit, with jitter; a named wait is kept, a long one is left to the engine', async () => {
  const clock = leapingClock()
  const settings = {
    clock,
    random: { next: () => 0.5, uuid: () => '' },
    signal: new AbortController().signal,
    attempts: 4,
    maxWaitMs: 60_000,
  }
  const fails = new IngestError('source.unavailable', 'down')
  const retry = new Retry(settings)

  for (let tries = 0; tries < 3; tries++) await retry.again(fails)
  await expect(retry.again(fails)).rejects.toBe(fails)
  retry.progress()
  await retry.again(new IngestError('source.throttled', 'slow', { retryAfterMs: 7_000 }))

  expect(clock.slept).toEqual([250, 500, 1_000, 7_000])
  const long = new IngestError('source.throttled', 'slow', { retryAfterMs: 61_000 })
  await expect(new Retry(settings).again(long)).rejects.toBe(long)
  const wrong = new IngestError('source.auth_rejected', 'no')
  await expect(new Retry(settings).again(wrong)).rejects.toBe(wrong)
})

test('a token is asked for once however many want it, and again only by the first who finds it refused', async () => {
  let asked = 0
  const tokens = new Tokens(async () => {
    await new Promise((done) => setImmediate(done))
    return { value: `t${++asked}` }
  })

  const [first, second] = await Promise.all([tokens.get(), tokens.get()])
  expect(second).toBe(first)
  await Promise.all([tokens.refuse(first), tokens.refuse(second)])
  const next = await tokens.get()
  await tokens.refuse(first)

  expect(await tokens.get()).toBe(next)
  expect(asked).toBe(2)
})

test('a token that could not be had is asked for again', async () => {
  let asked = 0
  const tokens = new Tokens(async () => {
    if (++asked === 1) throw new Error('down')
    return { value: 'good' }
  })

  await expect(tokens.get()).rejects.toThrow('down')
  expect((await tokens.get()).value).toBe('good')
})

test('the array of a page is cut out by its name, whatever stands around and inside it', () => {
  const page = JSON.stringify({
    before: ['records', { records: [1] }],
    'rec"ords': 1,
    records: [{ a: 'x]"\\', records: [[]] }, { a: null }],
    done: false,
    after: { records: [] },
  })

  const { array, count, last, rest } = splitJsonPage(Buffer.from(page), 'records')

  expect(JSON.parse(Buffer.from(array).toString())).toEqual(JSON.parse(page).records)
  expect(count).toBe(2)
  expect(last).toEqual({ a: null })
  expect(rest).toEqual({ ...JSON.parse(page), records: [] })
  expect(splitJsonPage(Buffer.from(' [ {"a":1} , {"a":2} ] '), undefined)).toMatchObject({ count: 2, last: { a: 2 } })
})

test('any page splits into what JSON.parse finds, and no part of one passes for a page', () => {
  const record = fc.dictionary(fc.string(), fc.jsonValue())
  const page = fc.record({ before: fc.jsonValue(), records: fc.array(record), after: fc.jsonValue() })
  fc.assert(
    fc.property(page, fc.nat(), (value, cut) => {
      const bytes = Buffer.from(JSON.stringify(value))
      const { array, count, last, rest } = splitJsonPage(bytes, 'records')
      const plain = JSON.parse(JSON.stringify(value))
      expect(JSON.parse(Buffer.from(array).toString())).toEqual(plain.records)
      expect(count).toBe(plain.records.length)
      expect(last).toEqual(plain.records.at(-1))
      expect(rest).toEqual({ ...plain, records: [] })
      expect(() => splitJsonPage(bytes.subarray(0, cut % bytes.length), 'records')).toThrow(IncompleteBody)
    }),
    { numRuns: Number(process.env.SOAK ?? 1) * 100 },
  )
})

test('CSV in any chunks becomes whole records without header, with nulls for empty values', () => {
  const value = fc.oneof(fc.constant(''), fc.string({ unit: fc.constantFrom('a', '"', ',', '\n', '\r\n', 'é') }))
  const rows = fc.array(fc.tuple(fc.stringMatching(/^[a-z0-9]{3}$/), value, value), { minLength: 1 })
  const quoted = (cells: readonly string[]) => cells.map((cell) => `"${cell.replaceAll('"', '""')}"`).join(',')
  fc.assert(
    fc.property(
      rows,
      fc.constantFrom('\n', '\r\n'),
      fc.integer({ min: 1, max: 9 }),
      fc.nat(),
      (data, end, size, skipped) => {
        const skip = skipped % (data.length + 1)
        const text = Buffer.from(['"Id","A","B"', ...data.map(quoted), ''].join(end))
        const records = new CsvRecords({ key: 0, skip })
        const out: Uint8Array[] = []
        let given = 0
        for (let at = 0; at < text.length; at += size) {
          const part = records.take(text.subarray(at, at + size))
          given += records.given
          if (part.length > 0) expect(part.at(-1)).toBe(10)
          out.push(part)
        }
        out.push(records.end())
        const wanted = data.slice(skip)
        expect(records.header).toEqual(['Id', 'A', 'B'])
        expect(given).toBe(wanted.length)
        expect(parseCsv(Buffer.concat(out).toString())).toEqual(wanted.map((row) => row.map((cell) => cell || null)))
        if (wanted.length > 0) expect(records.lastKey).toBe(wanted.at(-1)![0])
      },
    ),
    { numRuns: Number(process.env.SOAK ?? 1) * 200 },
  )
})

test('CSV that ends inside a value is incomplete', () => {
  const records = new CsvRecords()
  records.take(Buffer.from('"Id"\n"a"\n"b'))

  expect(() => records.end()).toThrow(IncompleteBody)
})

test('pages are followed by their names, and one that comes again is an error', async () => {
  const pages: Record<string, { next?: string }> = {
    a: { next: 'b' },
    b: { next: 'c' },
    c: {},
    round: { next: 'round' },
  }
  const walk = (first: string) =>
    Array.fromAsync(
      followPages(
        first,
        async (path) => pages[path]!,
        ({ next }) => next,
      ),
    )

  expect(await walk('a')).toHaveLength(3)
  await expect(walk('round')).rejects.toThrow(/named a page twice/)
  expect(
    nextLink(new Headers({ link: '<https://x/?a=1,2>; rel="prev", <https://x/?p=2>; title="t"; rel="next"' })),
  ).toBe('https://x/?p=2')
  expect(nextLink(new Headers())).toBeUndefined()
  expect(withQuery('/a?x=1', { q: "it's & more", none: undefined })).toBe("/a?x=1&q=it's%20%26%20more")
})

test('statuses and faults of the network have a code and a remedy', () => {
  const code = (status: number) => refusalError({ doing: 'read', status, headers: new Headers(), body: '' }).code
  const failed = (reason: string) =>
    networkError(
      'read',
      Object.assign(new TypeError('fetch failed'), { cause: Object.assign(new Error(), { code: reason }) }),
    )

  expect([401, 403, 404, 429, 503, 400].map(code)).toEqual([
    'source.auth_rejected',
    'source.permission_denied',
    'source.object_missing',
    'source.throttled',
    'source.unavailable',
    'source.protocol_violation',
  ])
  expect(failed('ECONNREFUSED')).toMatchObject({ code: 'source.unreachable', remedy: 'retry' })
  expect(failed('CERT_HAS_EXPIRED')).toMatchObject({ code: 'source.tls_rejected', remedy: 'fix' })
})
