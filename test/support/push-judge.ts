import { gunzipSync, zstdDecompressSync } from 'node:zlib'
import { serverFrames } from '../../shared/push/frames.ts'
import { addRange, type Intervals, prefixEnd } from '../../shared/push/intervals.ts'
import { verdicts } from './push-faults.ts'
import type { HttpRequest } from './push-requests.ts'
import type { TakenBatch, WatchedQueue } from './watched-queue.ts'

const allowedCloses = new Set([1000, 1001, 1002, 1003, 1006, 1007, 1009, 4400, 4401, 4503])

/** Hears what the server says on one connection, and finds every broken promise. */
export class Judge {
  readonly #stored: WatchedQueue['stored']
  #session = ''
  #claimed = 0
  #durable = 0
  #rejected: Intervals = []
  #error: { code: string; retryable: boolean } | undefined
  readonly broken: string[] = []

  constructor(stored: WatchedQueue['stored']) {
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
  return (
    Buffer.from(text)
      .toString()
      .split('\n')
      // JSON has fewer blanks than `trim`.
      .map((line) => line.replace(/^[ \t\r]+|[ \t\r]+$/g, ''))
      .filter((line) => line !== '')
  )
}

/** What the table breaks once everything that was taken is committed. What the buffer refused may be in it all the same. */
export function judgeTable(
  rows: readonly Record<string, unknown>[],
  { stored, state }: Pick<WatchedQueue, 'stored' | 'state'>,
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
