import { gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import fc from 'fast-check'
import { IngestError } from '../../shared/core/errors.ts'
import { encodeBinary, type IngestFrame, serverFrames } from '../../shared/push/frames.ts'
import { addRange, type Intervals, prefixEnd } from '../../shared/push/intervals.ts'
import type { BatchHeader } from '../../shared/push/receive.ts'
import type { Queue, QueueRecord } from '../../shared/queue/queue.ts'
import { CLICKS } from './push.ts'

/** Lines for the table of `push.ts`, and whether they fit it, judged by a reader of the protocol and not by our code. */
export const lines: readonly (readonly [line: string, fits: boolean])[] = [
  ['{"id":"a","n":1}', true],
  ['{"n":-5,"id":"b"}', true],
  ['{"id":"\u00e4\ud83d\ude00"}', true],
  ['{"id":"c","n":null}', true],
  ['{"id":"9","n":9223372036854775807}', true],
  ['{"id":7}', false],
  ['{"id":null}', false],
  ['{"n":1}', false],
  ['{}', false],
  ['{"id":"x","n":"z"}', false],
  ['{"id":"x","n":1.5}', false],
  ['{"id":"x","n":99999999999999999999}', false],
  ['{"id":"x","n":{"m":1}}', false],
  ['{"id":"x","extra":1}', false],
  ['{"id":"x","n":true}', false],
  ['{"id":"x","n":1', false],
  ['{', false],
  ['nonsense', false],
  ['"x"', false],
  ['5', false],
]
const verdicts = new Map(lines)

export const fuzzLimits = { messageBytes: 64 << 10, recordBytes: 4096, batchBytes: 128 << 10 }

/** What a producer sends on one connection, one message after the other. */
export interface Conversation {
  messages: readonly (string | Uint8Array)[]
  /** The durable buffer refuses this one of the batches. */
  refuse: number | undefined
}

type Damage =
  | { how: 'flip' | 'cut' | 'insert'; at: number; byte: number }
  | { how: 'field'; key: string; value: unknown }
  | undefined

const bombs = {
  gzip: gzipSync(Buffer.alloc(4 << 20, '{"id":"a"}\n')),
  zstd: zstdCompressSync(Buffer.alloc(4 << 20, '{"id":"a"}\n')),
}
const open = JSON.stringify({ type: 'open', v: 1, table: CLICKS })
const keys = ['type', 'v', 'offset', 'count', 'encoding', 'rows', 'schemaVersion', 'table', 'session', 'durable', 'x']
const oddValue = fc.oneof(
  fc.constantFrom(null, -1, 0, 1, 1.5, 2 ** 31, 2 ** 53, 1e300, '', '0', 'gzip', 'zstd', true, [], {}, undefined),
  fc.string(),
  fc.jsonValue({ maxDepth: 2 }),
)
const damage: fc.Arbitrary<Damage> = fc.oneof(
  { weight: 8, arbitrary: fc.constant(undefined) },
  {
    weight: 2,
    arbitrary: fc.record({
      how: fc.constantFrom('flip' as const, 'cut' as const, 'insert' as const),
      at: fc.nat(4000),
      byte: fc.nat(255),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ how: fc.constant('field' as const), key: fc.constantFrom(...keys), value: oddValue }),
  },
)
const mostly = <T>(usual: T, ...others: T[]) =>
  fc.oneof({ weight: 9, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: fc.constantFrom(usual, ...others) })

const ingest = fc.record({
  kind: fc.constant('ingest' as const),
  rows: fc.array(fc.nat(lines.length - 1), { minLength: 1, maxLength: 6 }),
  encoding: fc.constantFrom('none' as const, 'gzip' as const, 'zstd' as const),
  binary: fc.boolean(),
  skew: mostly(0, -3, -1, 1, 1000, 2 ** 53),
  miscount: mostly(0, -1, 1, 999_999, 2 ** 40),
  schemaVersion: mostly<number | undefined>(undefined, 1, 2, 99),
  blank: mostly('', '\n', ' \n', '\r\n'),
  damage,
})
const step = fc.oneof(
  { weight: 12, arbitrary: ingest },
  { weight: 1, arbitrary: fc.constant({ kind: 'again' as const }) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      { kind: 'bomb' as const, encoding: 'gzip' as const },
      { kind: 'bomb' as const, encoding: 'zstd' as const },
    ),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('text' as const),
      text: fc.oneof(
        fc.constantFrom(open, '{"type":"ping"}', '{"type":"ping","id":-1}', '{"type":"close"}'),
        fc.string(),
        fc.json({ maxDepth: 2 }),
      ),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('bytes' as const), bytes: fc.uint8Array({ maxLength: 40 }) }) },
)

/** Mostly what an honest producer would send, with a fault here and there, so that faults are met in every state. */
export const conversations: fc.Arbitrary<Conversation> = fc
  .record({
    opens: mostly(true, false),
    openDamage: damage,
    steps: fc.array(step, { maxLength: 6 }),
    refuse: mostly<number | undefined>(undefined, 0, 1, 2),
  })
  .map(({ opens, openDamage, steps, refuse }) => {
    const messages: (string | Uint8Array)[] = opens ? [damaged(open, openDamage)] : []
    let next = 0
    for (const one of steps) {
      if (one.kind === 'text') messages.push(one.text)
      else if (one.kind === 'bytes') messages.push(one.bytes)
      else if (one.kind === 'again') messages.push(messages.at(-1) ?? open)
      else if (one.kind === 'bomb')
        messages.push(
          encodeBinary({ type: 'ingest', offset: next, count: 1, encoding: one.encoding }, bombs[one.encoding]),
        )
      else {
        messages.push(damaged(encode(one, next), one.damage))
        if (one.skew === 0 && one.miscount === 0 && !one.damage) next += one.rows.length
      }
    }
    return { messages, refuse }
  })

function encode(batch: typeof ingest extends fc.Arbitrary<infer T> ? T : never, next: number): string | Uint8Array {
  const text = batch.rows.map((row) => `${lines[row]![0]}\n`).join('') + batch.blank
  const raw = Buffer.from(text)
  const { encoding } = batch
  const rows = encoding === 'none' ? raw : encoding === 'gzip' ? gzipSync(raw, { level: 1 }) : zstdCompressSync(raw)
  const header: Omit<IngestFrame, 'rows'> = {
    type: 'ingest',
    offset: next + batch.skew,
    count: batch.rows.length + batch.miscount,
    encoding,
    ...(batch.schemaVersion === undefined ? {} : { schemaVersion: batch.schemaVersion }),
  }
  if (batch.binary) return encodeBinary(header, rows)
  return JSON.stringify({ ...header, rows: encoding === 'none' ? text : rows.toString('base64') })
}

function damaged(message: string | Uint8Array, harm: Damage): string | Uint8Array {
  if (!harm) return message
  if (harm.how === 'field') {
    if (typeof message !== 'string') return message
    return JSON.stringify({ ...JSON.parse(message), [harm.key]: harm.value })
  }
  const bytes = Buffer.from(message)
  const at = harm.at % bytes.length
  if (harm.how === 'flip') bytes[at] = bytes[at]! ^ (harm.byte || 1)
  const result =
    harm.how === 'flip'
      ? bytes
      : harm.how === 'cut'
        ? bytes.subarray(0, at)
        : Buffer.concat([bytes.subarray(0, at), Buffer.from([harm.byte]), bytes.subarray(at)])
  return typeof message === 'string' ? result.toString('utf8') : result
}

type TakenBatch = { header: BatchHeader; body: Uint8Array }

/** A durable buffer that remembers what it took, by session, and refuses when it is told to. */
export function watchedQueue(inner: Queue) {
  const stored = new Map<string, TakenBatch[]>()
  /** In the order they came; whoever looks empties it. */
  const taken: TakenBatch[] = []
  /** `refused`: records of batches that it did not take. */
  const state = { refuse: undefined as number | undefined, refused: 0 }

  async function take<T>(records: readonly QueueRecord[], send: () => Promise<T>): Promise<T> {
    if (state.refuse !== undefined && state.refuse-- === 0) {
      for (const { header } of records) state.refused += Number(header.to) - Number(header.from)
      throw new IngestError('queue.full', 'the disk is full')
    }
    const sent = await send()
    for (const { header, body } of records) {
      const known = header as unknown as BatchHeader
      taken.push({ header: known, body })
      stored.set(known.session, [...(stored.get(known.session) ?? []), { header: known, body }])
    }
    return sent
  }

  const queue: Queue = {
    receive: (options) => inner.receive(options),
    delete: (receipts) => inner.delete(receipts),
    depth: () => inner.depth(),
    close: () => inner.close(),
    send: (records) => take(records, () => inner.send(records)),
    sendTaken: (records, visibilityMs) => take(records, () => inner.sendTaken!(records, visibilityMs)),
  }
  return { queue, stored, taken, state }
}

const allowedCloses = new Set([1000, 1001, 1002, 1003, 1006, 1007, 1009, 4400, 4401, 4503])

/** Hears what the server says on one connection, and finds every broken promise. */
export class Judge {
  readonly #stored: ReturnType<typeof watchedQueue>['stored']
  #session = ''
  #claimed = 0
  #durable = 0
  #rejected: Intervals = []
  #error: { code: string; retryable: boolean } | undefined
  readonly broken: string[] = []

  constructor(stored: ReturnType<typeof watchedQueue>['stored']) {
    this.#stored = stored
  }

  hear(text: string) {
    const { type } = JSON.parse(text) as { type: keyof typeof serverFrames }
    const parsed = serverFrames[type]?.safeParse(JSON.parse(text))
    if (!parsed?.success) return this.#blame(`not a frame of the protocol: ${text}`)
    const frame = parsed.data
    if (this.#error) this.#blame(`${type} after an error`)
    if (frame.type === 'opened') {
      this.#session = frame.session
      this.#claimed = frame.durable
      this.#durable = frame.durable
    }
    if (frame.type === 'error') {
      this.#error = frame
      if (!/^(push|queue|table)\./.test(frame.code)) this.#blame(`error ${frame.code}: ${frame.message}`)
      // No message may repeat a value of a record.
      if (/nonsense|"z"|\u00e4/.test(frame.message)) this.#blame(`row content in: ${frame.message}`)
    }
    if (frame.type === 'ack' || frame.type === 'closed') {
      const kept = this.#batches().reduce<Intervals>(
        (set, { header }) => addRange(set, header.from, header.to),
        addRange([], 0, this.#claimed),
      )
      if (frame.durable > prefixEnd(kept)) this.#blame(`acknowledged ${frame.durable}, durable is ${prefixEnd(kept)}`)
      if (frame.durable < this.#durable) this.#blame(`durable went back from ${this.#durable} to ${frame.durable}`)
      if (frame.committed > frame.durable) this.#blame(`committed ${frame.committed} beyond durable ${frame.durable}`)
      if (frame.type === 'ack')
        for (const [from, to] of frame.rejectedRanges ?? []) this.#rejected = addRange(this.#rejected, from, to)
      // By now, not some frames later: the producer may be gone then.
      for (const batch of this.#batches())
        if (batch.header.to > this.#durable && batch.header.to <= frame.durable)
          this.broken.push(...checkRows(batch, this.#rejected))
      this.#durable = Math.max(this.#durable, frame.durable)
    }
  }

  /** The connection has ended, or nothing more will come on it. Returns how it ended. */
  end(code?: number): string {
    if (code !== undefined && !allowedCloses.has(code)) this.#blame(`closed with ${code}`)
    if (this.#error && code !== undefined && code < 4000) this.#blame(`error, but closed with ${code}`)
    return this.#error?.code ?? (code === undefined ? 'open' : String(code))
  }

  #batches() {
    return this.#stored.get(this.#session) ?? []
  }

  #blame(what: string) {
    this.broken.push(what)
  }
}

/** What was acknowledged is in the buffer and fits the table, or is named as left out. */
function checkRows({ header, body }: TakenBatch, rejected: Intervals): string[] {
  const isRejected = (offset: number) => rejected.some(([from, to]) => offset >= from && offset < to)
  const offsets = Array.from({ length: header.to - header.from }, (_, i) => header.from + i)
  if (body.length === 0) return offsets.filter((at) => !isRejected(at)).map((at) => `record ${at} is nowhere`)
  const rows = linesOf({ header, body })
  if (rows.length !== offsets.length) return [`${rows.length} lines stand for ${offsets.length} records`]
  return rows.flatMap((line, i) => {
    const fits = verdicts.get(line)
    if (fits === undefined || fits !== isRejected(header.from + i)) return []
    return [`${line} was ${fits ? 'left out' : 'accepted'}`]
  })
}

function linesOf({ header, body }: TakenBatch): string[] {
  const text =
    header.encoding === 'none' ? body : header.encoding === 'gzip' ? gunzipSync(body) : zstdDecompressSync(body)
  return Buffer.from(text)
    .toString()
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
}

/** What the table breaks once everything that was taken is committed. What the buffer refused may be in it all the same. */
export function judgeTable(
  rows: readonly Record<string, unknown>[],
  { stored, state }: Pick<ReturnType<typeof watchedQueue>, 'stored' | 'state'>,
): string[] {
  // A batch that was sent again may have been taken again.
  const batches = [...stored].flatMap(([session, taken]) => [
    ...new Map(taken.map((batch) => [`${session}-${batch.header.from}-${batch.header.to}`, batch])).values(),
  ])
  const wanted = batches.reduce((sum, { header: { from, to, rejected } }) => sum + to - from - rejected, 0)
  if (rows.length < wanted || rows.length > wanted + state.refused)
    return [`the table has ${rows.length} rows, wanted ${wanted} to ${wanted + state.refused}`]
  const found = Map.groupBy(rows, ({ id, n }) => `${id} ${n ?? null}`)
  const expected = Map.groupBy(
    batches.flatMap((batch) => (batch.body.length === 0 ? [] : linesOf(batch))).filter((line) => verdicts.get(line)),
    (line) => `${JSON.parse(line).id} ${/"n":(-?\d+)/.exec(line)?.[1] ?? null}`,
  )
  return [...expected].flatMap(([row, times]) => {
    const count = found.get(row)?.length ?? 0
    return count < times.length ? [`${times.length - count} of the rows ${row} are not in the table`] : []
  })
}

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

const allowedStatuses = new Set([200, 400, 401, 403, 404, 405, 413, 429, 503])

/** What an answer of the HTTP door breaks, by what the buffer took for it. */
export function judgeAnswer(
  sent: HttpRequest,
  { status, text }: { status: number; text: string },
  taken: readonly TakenBatch[],
): string[] {
  const answer = JSON.parse(text) as { error?: { code: string }; rejectedRanges?: [number, number][] }
  if (!allowedStatuses.has(status)) return [`status ${status} for ${sent.method} ${sent.url}: ${text}`]
  if (status !== 200) {
    if (!/^(push|queue|table)\./.test(answer.error?.code ?? '')) return [`status ${status} with ${text}`]
    return taken.length > 0 ? [`status ${status}, but ${taken.length} batches were taken`] : []
  }
  return taken.flatMap((batch) => {
    const rejected = (answer.rejectedRanges ?? []).map(
      ([a, b]) => [batch.header.from + a, batch.header.from + b] as const,
    )
    return checkRows(batch, rejected)
  })
}
