import { DeleteMessageBatchCommand, type Message, ReceiveMessageCommand, type SQSClient } from '@aws-sdk/client-sqs'
import type { Mapping } from './account.ts'
import type { LambdaHost } from './lambda-host.ts'

/** A mapping hands a Lambda at most 6 MB at a time (Lambda quotas). */
const MAX_BATCH_BYTES = 6 * 1024 * 1024

/** Instead of the queue's minutes: what a consumer leaves behind when it dies comes again after this. */
const VISIBILITY_SECONDS = 15

/** Faults a test may ask for. */
export interface Faults {
  /** Delivers a batch to two consumers at once, as a standard queue may. Asked once a batch. */
  deliverTwice?(): boolean
}

/**
 * What Lambda's event source mapping does for a queue: gathers up to `batchSize` messages for `windowSeconds`, hands
 * them over, deletes what was handled and leaves what was reported failed to the visibility timeout and the dead letters.
 * Runs until the signal aborts.
 */
export async function pollQueue(
  mapping: Mapping,
  { sqs, host, signal, faults = {} }: { sqs: SQSClient; host: LambdaHost; signal: AbortSignal; faults?: Faults },
): Promise<void> {
  while (!signal.aborted) {
    const messages = await gather(mapping, sqs, signal)
    if (!messages.length) continue
    const event = { Records: messages.map((message) => record(message, mapping)) }
    const deliver = () =>
      host.invoke(mapping.functionName, event).then(
        ({ result }) => failures(result, mapping),
        () => new Set(messages.map(({ MessageId }) => MessageId!)),
      )
    const outcomes = await Promise.all(faults.deliverTwice?.() ? [deliver(), deliver()] : [deliver()])
    const handled = messages.filter(({ MessageId }) => outcomes.some((failed) => !failed.has(MessageId!)))
    for (let i = 0; i < handled.length; i += 10) {
      const Entries = handled
        .slice(i, i + 10)
        .map(({ MessageId, ReceiptHandle }) => ({ Id: MessageId!, ReceiptHandle }))
      await sqs.send(new DeleteMessageBatchCommand({ QueueUrl: mapping.queueUrl, Entries }))
    }
  }
}

async function gather(mapping: Mapping, sqs: SQSClient, signal: AbortSignal): Promise<Message[]> {
  const messages: Message[] = []
  let bytes = 0
  let deadline = Number.POSITIVE_INFINITY
  while (!signal.aborted && messages.length < mapping.batchSize && Date.now() < deadline) {
    const { Messages = [] } = await sqs.send(
      new ReceiveMessageCommand({
        QueueUrl: mapping.queueUrl,
        MaxNumberOfMessages: Math.min(10, mapping.batchSize - messages.length),
        WaitTimeSeconds: 0,
        VisibilityTimeout: VISIBILITY_SECONDS,
        AttributeNames: ['All'],
        MessageAttributeNames: ['All'],
      }),
    )
    if (!Messages.length) {
      if (messages.length && !mapping.windowSeconds) break
      await new Promise((resolve) => setTimeout(resolve, 50))
      continue
    }
    if (!messages.length) deadline = Date.now() + mapping.windowSeconds * 1000
    messages.push(...Messages)
    bytes += Messages.reduce((sum, { Body }) => sum + Buffer.byteLength(Body ?? ''), 0)
    // The next receive could bring ten messages of 1 MiB: stop while another message surely fits.
    if (bytes > MAX_BATCH_BYTES / 2) break
  }
  return messages
}

const record = (message: Message, { queueUrl }: Mapping) => ({
  messageId: message.MessageId,
  receiptHandle: message.ReceiptHandle,
  body: message.Body,
  attributes: message.Attributes,
  messageAttributes: Object.fromEntries(
    Object.entries(message.MessageAttributes ?? {}).map(([name, { StringValue, BinaryValue, DataType }]) => [
      name,
      {
        dataType: DataType,
        ...(StringValue !== undefined && { stringValue: StringValue }),
        ...(BinaryValue !== undefined && { binaryValue: Buffer.from(BinaryValue).toString('base64') }),
      },
    ]),
  ),
  eventSource: 'aws:sqs',
  eventSourceARN: `arn:aws:sqs:us-east-1:123456789012:${queueUrl.split('/').at(-1)}`,
  awsRegion: 'us-east-1',
})

function failures(result: unknown, mapping: Mapping): ReadonlySet<string> {
  if (!mapping.reportsFailures) return new Set()
  const { batchItemFailures } = (result ?? { batchItemFailures: [] }) as {
    batchItemFailures: { itemIdentifier: string }[]
  }
  return new Set(batchItemFailures.map(({ itemIdentifier }) => itemIdentifier))
}
