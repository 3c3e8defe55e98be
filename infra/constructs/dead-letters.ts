import { Duration, Validations } from 'aws-cdk-lib'
import * as sqs from 'aws-cdk-lib/aws-sqs'
import { Construct } from 'constructs'
import type { Settings } from '../settings.ts'

/** Where what could not be handled waits for a person. Its depth is alarmed at one message. */
export class DeadLetters extends Construct {
  readonly queue: sqs.Queue

  constructor(scope: Construct, id: string, props: { settings: Settings; fifo?: boolean }) {
    super(scope, id)
    this.queue = new sqs.Queue(this, 'Queue', {
      // The dead letters of a FIFO queue are one themselves.
      ...(props.fifo && { fifo: true }),
      encryption: sqs.QueueEncryption.SQS_MANAGED,
      enforceSSL: true,
      retentionPeriod: Duration.days(props.settings.retention.deadLettersDays),
    })
    Validations.of(this.queue).acknowledge({
      id: 'AwsSolutions-SQS3',
      reason: 'this is where dead letters end: of queues, and of schedules, which cdk-nag does not see',
    })
  }
}
