import { invariant } from '../core/errors.ts'
import type { Json } from '../core/json.ts'
import type { EntryKey, EntryWrite } from './state-store.ts'

export const maxWrites = 25
export const maxValueBytes = 256 * 1024

/** Refuses what some store could not hold, so that all refuse alike. @throws IngestError `bug.invariant` */
export function checkWrites(writes: readonly EntryWrite[]): void {
  invariant(writes.length <= maxWrites, `${writes.length} entries in one write, at most ${maxWrites}`)
  writes.forEach(checkKey)
  const keys = new Set(writes.map(({ partition, sort }) => JSON.stringify([partition, sort])))
  invariant(keys.size === writes.length, 'two writes of one entry in one call')
}

/** DynamoDB's limits on keys, which may not be empty. */
export function checkKey({ partition, sort }: EntryKey): void {
  const bytes = [Buffer.byteLength(partition), Buffer.byteLength(sort)] as const
  invariant(
    bytes[0] > 0 && bytes[0] <= 2048 && bytes[1] > 0 && bytes[1] <= 1024,
    `a key of ${bytes[0]} and ${bytes[1]} bytes; a partition has 1 to 2048, a sort 1 to 1024`,
  )
}

/** The value as it is stored. @throws IngestError `bug.invariant` when it is too large or no JSON */
export function encodeValue(value: Json): string {
  const text = JSON.stringify(value)
  invariant(text !== undefined, 'a value that is not JSON')
  const bytes = Buffer.byteLength(text)
  invariant(bytes <= maxValueBytes, `an entry of ${bytes} bytes, at most ${maxValueBytes}`)
  return text
}
