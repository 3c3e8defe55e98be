import { PublishCommand, SNSClient } from '@aws-sdk/client-sns'
import type { Notice } from '../../shared/control/notices.ts'

const client = new SNSClient({})

/** Sends each notice to its recipient's subscription. */
export async function notify(notices: readonly Notice[], topicArn: string): Promise<void> {
  for (const { recipient, subject, text } of notices)
    await client.send(
      new PublishCommand({
        TopicArn: topicArn,
        Subject: subject,
        Message: text,
        MessageAttributes: { recipient: { DataType: 'String', StringValue: recipient } },
      }),
    )
}
