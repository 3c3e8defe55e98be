import { DeleteMessageCommand, ReceiveMessageCommand, SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs'
import { sqsError } from './sqs-errors.ts'

/**
 * Moves every message of one queue to another, groups of a FIFO queue as they are; returns how many. A message is deleted
 * after it was sent, so a crash between the two leaves it in both.
 *
 * @throws IngestError `queue.unavailable` (retry), `storage.missing`, `storage.permission_denied` (fix)
 */
export async function moveMessages(from: string, to: string, client = new SQSClient({})): Promise<number> {
  let moved = 0
  try {
    for (;;) {
      const { Messages = [] } = await client.send(
        // Waiting asks all of SQS's servers, so an empty answer means an empty queue.
        new ReceiveMessageCommand({
          QueueUrl: from,
          MaxNumberOfMessages: 1,
          WaitTimeSeconds: 2,
          MessageSystemAttributeNames: ['MessageGroupId'],
        }),
      )
      const [message] = Messages
      if (!message) return moved
      const group = message.Attributes?.MessageGroupId
      const sending = { QueueUrl: to, MessageBody: message.Body!, ...(group && { MessageGroupId: group }) }
      await client.send(new SendMessageCommand(sending))
      await client.send(new DeleteMessageCommand({ QueueUrl: from, ReceiptHandle: message.ReceiptHandle! }))
      moved++
    }
  } catch (error) {
    throw sqsError(error, 'move messages')
  }
}
