import type { SQSEvent, SQSRecord } from 'aws-lambda'
import { asIngestError } from '../shared/core/errors.ts'
import type { ReceivedRecord } from '../shared/queue/queue.ts'
import { bodyBytesOf, recordOf } from '../shared/queue/sqs-message.ts'
import type { Storage } from '../shared/storage/storage.ts'
import { logger } from './observed.ts'

export interface Messages {
  /** Receipts are message ids. */
  records: ReceivedRecord[]
  /** Ids of messages that could not be read. */
  failed: string[]
  /** Where the record of a message lies, by its id, when it was too large for the message. */
  objects: ReadonlyMap<string, string>
}

/** The records of messages. One whose object is gone was handled before: it is left out and not failed. */
export async function readMessages(messages: readonly SQSRecord[], storage: Storage): Promise<Messages> {
  const failed: string[] = []
  const objects = new Map<string, string>()
  const read = async ({ messageId, body }: SQSRecord): Promise<ReceivedRecord | undefined> => {
    try {
      const { record, path } = await recordOf(body, storage)
      if (path) objects.set(messageId, path)
      return record && { ...record, receipt: messageId }
    } catch (cause) {
      logger.error('a message could not be read', asIngestError(cause))
      failed.push(messageId)
      return undefined
    }
  }
  const records = await Promise.all(messages.map(read))
  return { records: records.filter((record) => record !== undefined), failed, objects }
}

/** The messages of an event in parts of at most `maxBytes` of bodies: messages are small that only name an object. */
export function partsOf({ Records }: SQSEvent, maxBytes: number): SQSRecord[][] {
  const parts: SQSRecord[][] = []
  let bytes = Number.POSITIVE_INFINITY
  for (const message of Records) {
    const size = bodyBytesOf(message.body)
    if (bytes + size > maxBytes) {
      parts.push([])
      bytes = 0
    }
    parts.at(-1)!.push(message)
    bytes += size
  }
  return parts
}
