import { ListSubscriptionsByTopicCommand, SNSClient, SubscribeCommand, UnsubscribeCommand } from '@aws-sdk/client-sns'

const client = new SNSClient({})

/**
 * Makes the e-mail subscriptions of the topic those of the recipients, each to its own notices. AWS asks a new recipient to
 * confirm, and tells nothing before that. Safe to repeat.
 */
export async function applySubscriptions(recipients: ReadonlySet<string>, topicArn: string): Promise<void> {
  const present = await subscriptions(topicArn)
  for (const recipient of recipients) {
    if (present.has(recipient)) continue
    const FilterPolicy = JSON.stringify({ recipient: [recipient] })
    const subscribe = { TopicArn: topicArn, Protocol: 'email', Endpoint: recipient, Attributes: { FilterPolicy } }
    await client.send(new SubscribeCommand(subscribe))
  }
  for (const [recipient, SubscriptionArn] of present) {
    // One that was never confirmed cannot be ended; AWS forgets it after two days.
    if (recipients.has(recipient) || !SubscriptionArn.startsWith('arn:')) continue
    await client.send(new UnsubscribeCommand({ SubscriptionArn }))
  }
}

/** ARN by recipient. */
async function subscriptions(TopicArn: string): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>()
  let NextToken: string | undefined
  do {
    const page = await client.send(new ListSubscriptionsByTopicCommand({ TopicArn, ...(NextToken && { NextToken }) }))
    for (const { Protocol, Endpoint, SubscriptionArn } of page.Subscriptions ?? [])
      if (Protocol === 'email') found.set(Endpoint!, SubscriptionArn!)
    NextToken = page.NextToken
  } while (NextToken)
  return found
}
