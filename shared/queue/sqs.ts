import { createHash, randomUUID } from 'node:crypto'
import {
  ChangeMessageVisibilityBatchCommand,
  DeleteMessageBatchCommand,
  GetQueueAttributesCommand,
  type Message,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  type SQSClient,
} from '@aws-sdk/client-sqs'
import { type Clock, systemClock } from '../core/clock.ts'
import type { Storage } from '../storage/storage.ts'
import { encodeFrame } from './frame.ts'
import type { Queue, QueueRecord, ReceivedRecord } from './queue.ts'
import { sqsError } from './sqs-errors.ts'
import { bodyBytesOf, encodeMessage, objectOf, recordOf } from './sqs-message.ts'

export interface SqsOptions {
  /** Where records too large for a message go, each as an object below this prefix; the queue owns it. */
  storage: Storage
  prefix: string
  /** How long a receive waits for a first message: 0 asks a sample of SQS's servers only and may miss what is there. */
  waitSeconds?: number
  /** The queue is a FIFO queue with deduplication by content: records of one group go to one consumer at a time, in order. */
  fifo?: boolean
  clock?: Clock
}

/**
 * An SQS queue as the durable buffer, a standard one for events. A message is one record: a frame in base64, or, past
 * 448 KiB of that, the path of an object that holds the frame. Such an object is written before its message and removed after it, so a crash leaves
 * at most an object nobody needs; a lifecycle rule longer than the queue's retention should remove those. `depth` is SQS's
 * own estimate, and its bytes are that many times the mean of the records seen by this process.
 */
export function sqsQueue(
  client: SQSClient,
  queueUrl: string,
  { storage, prefix, waitSeconds = 1, fifo = false, clock = systemClock }: SqsOptions,
): Queue {
  const QueueUrl = queueUrl
  const seen = { records: 0, bytes: 0 }

  /** One request for each ten entries, and again for those that failed for a reason of SQS's own. */
  async function inBatches<T>(
    entries: readonly T[],
    request: (batch: readonly T[]) => Promise<Failed[]>,
  ): Promise<void> {
    for (let i = 0; i < entries.length; i += maxEntries) {
      let batch = entries.slice(i, i + maxEntries)
      for (let tries = 1; batch.length > 0; tries++) {
        const failed = await request(batch)
        const final = failed.find(({ SenderFault }) => SenderFault) ?? (tries === maxTries ? failed[0] : undefined)
        if (final) throw Object.assign(new Error(final.Message), { name: final.Code ?? 'BatchEntryFailed' })
        batch = failed.map(({ Id }) => batch[Number(Id)]!)
        if (batch.length > 0) await clock.sleep(Math.random() * 50 * 2 ** tries)
      }
    }
  }

  async function textOf(record: QueueRecord): Promise<string> {
    const pieces = encodeFrame(record)
    const inline = encodeMessage(pieces)
    if (inline !== undefined) return inline
    const path = `${prefix}/${randomUUID()}`
    await storage.put(path, Buffer.concat(pieces))
    return objectOf(path, record.body.length)
  }

  async function sendBatch(messages: readonly Outgoing[]): Promise<void> {
    await inBatches(messages, async (batch) => {
      const Entries = batch.map(({ text, group }, i) => ({
        Id: String(i),
        MessageBody: text,
        ...(fifo && { MessageGroupId: group }),
      }))
      return (await client.send(new SendMessageBatchCommand({ QueueUrl, Entries }))).Failed ?? []
    })
  }

  async function giveBack(messages: readonly Message[]): Promise<void> {
    await inBatches(messages, async (batch) => {
      const Entries = batch.map(({ ReceiptHandle }, i) => ({
        Id: String(i),
        ReceiptHandle: ReceiptHandle!,
        VisibilityTimeout: 0,
      }))
      return (await client.send(new ChangeMessageVisibilityBatchCommand({ QueueUrl, Entries }))).Failed ?? []
    })
  }

  return {
    async send(records) {
      await translated('send to the queue', async () => {
        const messages = await Promise.all(
          records.map(async (record) => ({ text: await textOf(record), group: groupId(record.group) })),
        )
        const requests = requestsOf(messages)
        if (fifo) for (const request of requests) await sendBatch(request)
        else await Promise.all(requests.map(sendBatch))
        for (const { body } of records) {
          seen.records++
          seen.bytes += body.length
        }
      })
    },

    async receive({ maxBytes, maxRecords, visibilityMs }) {
      const taken: Message[] = []
      let bytes = 0
      return await translated('receive from the queue', async () => {
        while (taken.length < maxRecords && (taken.length === 0 || bytes < maxBytes)) {
          // A message may be of any size up to the largest, so no more are asked for than certainly fit.
          const fitting = Math.max(1, Math.floor((maxBytes - bytes) / maxMessageBytes))
          const { Messages = [] } = await client.send(
            new ReceiveMessageCommand({
              QueueUrl,
              MaxNumberOfMessages: Math.min(maxEntries, maxRecords - taken.length, fitting),
              VisibilityTimeout: Math.min(maxVisibilitySeconds, Math.ceil(visibilityMs / 1000)),
              WaitTimeSeconds: taken.length === 0 ? waitSeconds : 0,
            }),
          )
          if (Messages.length === 0) break
          const over = Messages.filter((message) => {
            const size = bodyBytesOf(message.Body!)
            if (taken.length > 0 && bytes + size > maxBytes) return true
            bytes += size
            taken.push(message)
            return false
          })
          if (over.length > 0) {
            await giveBack(over)
            break
          }
        }
        const received = await Promise.all(
          taken.map(async ({ Body, ReceiptHandle }): Promise<ReceivedRecord | undefined> => {
            const { record, path } = await recordOf(Body!, storage)
            return record && { ...record, receipt: path === undefined ? ReceiptHandle! : `${ReceiptHandle}\n${path}` }
          }),
        )
        // An object that is gone was removed after its message was: SQS delivered a deleted message once more.
        return received.filter((record) => record !== undefined)
      })
    },

    async delete(receipts) {
      const parts = receipts.map((receipt) => receipt.split('\n') as [handle: string, path?: string])
      await translated('delete from the queue', async () => {
        await inBatches(parts, async (batch) => {
          const Entries = batch.map(([ReceiptHandle], i) => ({ Id: String(i), ReceiptHandle }))
          const { Failed = [] } = await client.send(new DeleteMessageBatchCommand({ QueueUrl, Entries }))
          // The record is gone already.
          return Failed.filter(({ Code }) => Code !== 'ReceiptHandleIsInvalid')
        })
        await storage.delete(parts.flatMap(([, path]) => path ?? []))
      })
    },

    async depth() {
      return await translated('measure the queue', async () => {
        const { Attributes } = await client.send(
          new GetQueueAttributesCommand({
            QueueUrl,
            AttributeNames: ['ApproximateNumberOfMessages', 'ApproximateNumberOfMessagesNotVisible'],
          }),
        )
        const records = Object.values(Attributes ?? {}).reduce((sum, count) => sum + Number(count), 0)
        return { records, bytes: seen.records === 0 ? 0 : Math.round((records * seen.bytes) / seen.records) }
      })
    },

    async close() {},
  }
}

interface Outgoing {
  text: string
  group: string
}

/** SQS takes 128 characters; a table's name may be longer. */
const groupId = (group: string) => createHash('sha256').update(group).digest('base64url')

interface Failed {
  Id: string | undefined
  SenderFault: boolean | undefined
  Code: string | undefined
  Message?: string | undefined
}

/** SQS's limits: entries of a batch request, bytes of a message and of a batch request, and hidden time. */
const maxEntries = 10
const maxMessageBytes = 1024 * 1024
const maxVisibilitySeconds = 12 * 3600
const maxTries = 5

/** Packs messages, in order, into requests that keep to both limits. */
function requestsOf(messages: readonly Outgoing[]): Outgoing[][] {
  const requests: Outgoing[][] = []
  let bytes = Infinity
  for (const message of messages) {
    const last = requests.at(-1)
    if (last && last.length < maxEntries && bytes + message.text.length <= maxMessageBytes) {
      last.push(message)
      bytes += message.text.length
    } else {
      requests.push([message])
      bytes = message.text.length
    }
  }
  return requests
}

async function translated<T>(doing: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw sqsError(error, doing)
  }
}
