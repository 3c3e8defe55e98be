import * as z from 'zod'
import type { Json } from '../core/json.ts'
import type { EntryWrite } from '../state/state-store.ts'
import type { IngestBatch, Receipt } from './batch.ts'
import type { RecordRejection } from './frames.ts'
import { addRanges } from './intervals.ts'
import type { SessionPorts } from './stored-sessions.ts'

/**
 * The records of a session that were left out. They are kept before their batch is durable, until its producer has surely
 * heard of them: an ack may be lost with its connection or its server, and what it covered is not sent again (decision 0024).
 *
 *     push-rejected/<session>   0000000000000040-0000000000000060-0   of records 40 to 59; more ranges in ...-1, ...-2
 */
const partitionOf = (session: string) => `push-rejected/${session}`
const padded = (offset: number) => String(offset).padStart(16, '0')

const range = z.tuple([z.int().min(0), z.int().min(1)])
const keptEntry = z.object({
  schemaVersion: z.int(),
  rejectedRanges: z.array(range),
  rejected: z.array(
    z.object({ offset: z.int(), column: z.string(), code: z.string(), got: z.string(), wanted: z.string() }),
  ),
})

/** What an answer says of records that were left out; nothing when there are none. */
export interface Rejected {
  rejectedRanges?: [number, number][]
  rejected?: RecordRejection[]
}

/** As long as its session. */
const TTL_MS = 30 * 24 * 3600_000
/** A producer this many records further has seen the acks: it is more than any window. */
const HEARD_AFTER = 2_500_000
/** Records of a batch at most: one that begins earlier does not reach an offset. */
const MAX_COUNT = 1_000_000
/** Of one entry of the state store, which holds 256 KB. */
const MAX_RANGES = 2000
/** Entries of one write of the state store. */
const MAX_WRITES = 25
/** Reasons of one answer. */
const MAX_REASONS = 100

/** Keeps what a batch's receipt says was left out. Called before the batch is durable; again for one that is sent again. */
export async function keepRejections(
  { session, offset, count }: IngestBatch,
  { schemaVersion, rejectedRanges, rejected }: Receipt,
  ports: SessionPorts,
): Promise<void> {
  const partition = partitionOf(session)
  const expiresAtMs = ports.clock.now() + TTL_MS
  const writes: EntryWrite[] = []
  for (let i = 0; i * MAX_RANGES < rejectedRanges.length; i++) {
    const ranges = rejectedRanges.slice(i * MAX_RANGES, (i + 1) * MAX_RANGES)
    const value = { schemaVersion, rejectedRanges: ranges, rejected: i === 0 ? rejected : [] } as unknown as Json
    const sort = `${padded(offset)}-${padded(offset + count)}-${i}`
    writes.push({ partition, sort, value, expect: 'any', expiresAtMs })
  }
  // Faster than they come, and without reading many.
  const oldest = offset > HEARD_AFTER ? await ports.state.list(partition, { limit: 2 }) : []
  for (const { sort } of oldest)
    if (Number(sort.split('-')[1]) < offset - HEARD_AFTER) writes.push({ partition, sort, remove: true, expect: 'any' })
  for (let i = 0; i < writes.length; i += MAX_WRITES) await ports.state.write(writes.slice(i, i + MAX_WRITES))
}

/** What was left out of the records from `from` to `to - 1`, and by which version of the columns. */
export async function keptRejections(
  session: string,
  from: number,
  to: number,
  { state }: Pick<SessionPorts, 'state'>,
): Promise<(Required<Rejected> & { schemaVersion: number }) | undefined> {
  if (from >= to) return undefined
  const after = from > MAX_COUNT ? { after: padded(from - MAX_COUNT) } : {}
  const kept = (await state.list(partitionOf(session), after)).map(({ value }) => keptEntry.parse(value))
  // A batch that was sent again may have been cut in other places.
  const all = kept.flatMap((entry) => entry.rejectedRanges)
  const ranges = addRanges(
    [],
    all.map(([start, end]) => [Math.max(start, from), Math.min(end, to)]),
  )
  if (ranges.length === 0) return undefined
  const reasons = kept.flatMap((entry) => entry.rejected).filter(({ offset }) => offset >= from && offset < to)
  const rejected = [...new Map(reasons.map((reason) => [reason.offset, reason])).values()].slice(0, MAX_REASONS)
  return { schemaVersion: kept[0]!.schemaVersion, rejectedRanges: ranges.map(([a, b]) => [a, b]), rejected }
}

/** The same, as an answer says it. */
export async function rejectionsOf(
  session: string,
  from: number,
  to: number,
  ports: Pick<SessionPorts, 'state'>,
): Promise<Rejected> {
  const kept = await keptRejections(session, from, to, ports)
  return kept ? { rejectedRanges: kept.rejectedRanges, rejected: kept.rejected } : {}
}
