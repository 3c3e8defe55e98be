import * as z from 'zod'
import { withQuery } from '../../connector/http/pages.ts'
import { type Message, type Row, remove } from '../../core/change.ts'
import type { Json } from '../../core/json.ts'
import { vendorCode } from './errors.ts'
import { queryPages, rowsOf } from './rest.ts'
import { soql } from './soql.ts'
import type { Source } from './source.ts'

const Deleted = z.looseObject({
  deletedRecords: z.array(z.looseObject({ id: z.string(), deletedDate: z.string() })),
  earliestDateAvailable: z.string(),
  latestDateCovered: z.string(),
})

export interface DeleteLog {
  records: { id: string; deletedDate: string }[]
  /** The log is complete up to here, in milliseconds: read on from it. */
  coveredMs: number
  /** Deletes may have been forgotten before they were read. */
  gap: boolean
}

const MINUTE_MS = 60_000
/** The log reaches back fifteen days. */
const LOG_MS = 15 * 86_400_000 - 10 * MINUTE_MS

/** Rows of the delete log since `fromMs`, hard deletes too (REST API Developer Guide, "sObject Get Deleted"). */
export async function readDeleteLog(source: Source, fromMs: number, nowMs: number): Promise<DeleteLog> {
  const gap = fromMs < nowMs - LOG_MS
  // The org passes over seconds, and wants more than a minute between the two ends.
  const start = Math.floor(Math.max(fromMs, nowMs - LOG_MS) / MINUTE_MS) * MINUTE_MS
  const end = Math.floor(nowMs / MINUTE_MS) * MINUTE_MS
  if (end - start < 2 * MINUTE_MS) return { records: [], coveredMs: fromMs, gap }
  const log = await readRange(source, start, end)
  const records = log.records.filter(({ deletedDate }) => Date.parse(deletedDate) >= fromMs)
  return { records, coveredMs: Math.max(fromMs, log.coveredMs), gap: gap || log.gap }
}

async function readRange(source: Source, start: number, end: number): Promise<DeleteLog> {
  const { org, object } = source
  const iso = (ms: number) => new Date(ms).toISOString().replace('.000Z', '+00:00')
  const path = withQuery(org.path(`/sobjects/${object.name}/deleted/`), { start: iso(start), end: iso(end) })
  try {
    const answer = await org.client.json({ doing: `read the deletes of ${object.name}`, path }, Deleted)
    return {
      records: answer.deletedRecords,
      coveredMs: Math.min(end, Date.parse(answer.latestDateCovered)),
      gap: Date.parse(answer.earliestDateAvailable) > start,
    }
  } catch (error) {
    const code = vendorCode(error)
    // The log was purged, by an administrator or for its size.
    if (code === 'INVALID_REPLICATION_DATE') return { records: [], coveredMs: end, gap: true }
    if (code !== 'EXCEEDED_ID_LIMIT') throw error
    // More in minutes than one answer holds: comparing the keys finds them.
    if (end - start < 4 * MINUTE_MS) return { records: [], coveredMs: end, gap: true }
    const middle = start + Math.floor((end - start) / 2 / MINUTE_MS) * MINUTE_MS
    const early = await readRange(source, start, middle)
    // What is incomplete early is read again from there: the later part would leave a hole.
    if (early.coveredMs < middle) return early
    const late = await readRange(source, middle, end)
    return { records: [...early.records, ...late.records], coveredMs: late.coveredMs, gap: early.gap || late.gap }
  }
}

/** Deletes of the log. A row that was restored since comes again with its change. */
export function* logDeletes(source: Source, log: DeleteLog, cursor: string): Generator<Message<Json>> {
  for (const { id, deletedDate } of log.records)
    yield remove(keyOf(source, cursor, { Id: longId(id), [cursor]: deletedDate }))
}

/** Rows in the recycle bin, or that count as deleted by the pipeline's own condition, that changed under `conditions`. */
export async function* softDeletes(
  source: Source,
  conditions: readonly string[],
  cursor: string,
): AsyncGenerator<Message<Json>, void, undefined> {
  const { org, object, deleted } = source
  const doing = `read the deletes of ${object.name}`
  const select = (more: string) => soql(['Id', cursor], object.name, [...conditions, more])
  if (object.fields.has('IsDeleted'))
    for await (const page of queryPages(org, doing, select('IsDeleted = TRUE'), true))
      for (const row of rowsOf(page)) yield remove(keyOf(source, cursor, row))
  if (deleted)
    for await (const page of queryPages(org, doing, select(deleted)))
      for (const row of rowsOf(page)) yield remove(keyOf(source, cursor, row))
}

/** The key, and the moment where the table has it: what orders versions must know when a row went. */
function keyOf({ columns }: Source, cursor: string, row: Row): Row {
  return { Id: row.Id, ...(columns.includes(cursor) && { [cursor]: row[cursor] }) }
}

const CHECK = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ012345'

/** An id of fifteen characters as the one of eighteen that queries give: three more tell which letters are capitals. */
export function longId(id: string): string {
  if (id.length !== 15) return id
  let suffix = ''
  for (let part = 0; part < 15; part += 5) {
    let bits = 0
    for (let index = 0; index < 5; index++) if (/[A-Z]/.test(id[part + index]!)) bits |= 1 << index
    suffix += CHECK[bits]
  }
  return id + suffix
}
