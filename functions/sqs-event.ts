import type { SQSEvent } from 'aws-lambda'
import { asIngestError } from '../shared/core/errors.ts'
import type { ReceivedRecord } from '../shared/queue/queue.ts'
import { recordOf } from '../shared/queue/sqs-message.ts'
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

/** The records of an event of SQS. A message whose object is gone was handled before: it is left out and not failed. */
export async function readMessages(event: SQSEvent, storage: Storage): Promise<Messages> {
  const records: ReceivedRecord[] = []
  const failed: string[] = []
  const objects = new Map<string, string>()
  for (const { messageId, body } of event.Records) {
    try {
      const { record, path } = await recordOf(body, storage)
      if (record) records.push({ ...record, receipt: messageId })
      if (path) objects.set(messageId, path)
    } catch (cause) {
      logger.error('a message could not be read', asIngestError(cause))
      failed.push(messageId)
    }
  }
  return { records, failed, objects }
}
