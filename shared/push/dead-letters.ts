import type { IngestError } from '../core/errors.ts'
import type { ReceivedRecord } from '../queue/queue.ts'
import type { Storage } from '../storage/storage.ts'
import type { Intervals } from './intervals.ts'
import { decompress } from './payload.ts'
import { headerOf } from './receive.ts'
import { keepRecords } from './records.ts'

/**
 * Events that were acknowledged and can never be stored in their table: it was dropped, or its columns are others. Each
 * batch is kept as NDJSON with the reason beside it, in no table's folder, until `lakeflow push TABLE --dead-letters` sends it
 * again:
 *
 *     _dead_letters/main.events.clicks/<session>-<from>-<to>.ndjson
 *     _dead_letters/main.events.clicks/<session>-<from>-<to>.json
 *
 * The name is that of the batch, so a crash between the letter and its removal from the queue makes no second one.
 */
export interface DeadLetter {
  /** In storage, without `.ndjson`. */
  path: string
  reason: { code: string; message: string }
}

const folderOf = (table: string) => `_dead_letters/${table}/`

/** Keeps the records of a batch that are still missing in the table. The batch may then be deleted from its queue. */
export async function keepDeadLetter(
  record: ReceivedRecord,
  missing: Intervals,
  error: IngestError,
  { storage, batchBytes, nowMs }: { storage: Storage; batchBytes: number; nowMs: number },
): Promise<void> {
  const { session, from, to, encoding, schemaVersion, atMs } = headerOf(record)
  const path = `${folderOf(record.group)}${session}-${from}-${to}`
  const { code, message } = error
  const reason = { code, message, session, from, to, missing, schemaVersion, receivedMs: atMs, keptMs: nowMs }
  const rows = record.body.length === 0 ? record.body : decompress(record.body, encoding, batchBytes)
  const kept = keepRecords(
    rows,
    missing.map(([start, end]) => [start - from, end - from]),
  )
  if (kept.length > 0) await writeDeadLetter({ path, reason }, kept, storage)
}

export async function writeDeadLetter({ path, reason }: DeadLetter, rows: Uint8Array, storage: Storage): Promise<void> {
  // The rows last: a reason without rows is nothing to send again.
  await storage.put(`${path}.json`, Buffer.from(`${JSON.stringify(reason)}\n`))
  await storage.put(`${path}.ndjson`, rows)
}

/** The letters of a table, in the order of their names. */
export async function* deadLetters(table: string, storage: Storage): AsyncGenerator<DeadLetter> {
  for await (const { path } of storage.list(folderOf(table))) {
    if (!path.endsWith('.ndjson')) continue
    const letter = path.slice(0, -'.ndjson'.length)
    const why = await storage.get(`${letter}.json`)
    const reason = JSON.parse(Buffer.from(why ?? '{}').toString()) as DeadLetter['reason']
    yield { path: letter, reason }
  }
}

export async function readDeadLetter(letter: DeadLetter, storage: Storage): Promise<Uint8Array> {
  return (await storage.get(`${letter.path}.ndjson`)) ?? new Uint8Array()
}

/** The rows are in their table now. */
export async function removeDeadLetter(letter: DeadLetter, storage: Storage): Promise<void> {
  await storage.delete([`${letter.path}.ndjson`, `${letter.path}.json`])
}

/** Whether no later try can store the record: its table, or its bytes, are at fault, and not the place they go to. */
export function isForGood(error: IngestError): boolean {
  return error.remedy === 'fix' && /^(table|push)\./.test(error.code)
}
