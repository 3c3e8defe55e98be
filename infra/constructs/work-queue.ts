import { Duration } from 'aws-cdk-lib'
import * as sqs from 'aws-cdk-lib/aws-sqs'
import { Construct } from 'constructs'
import type { Settings } from '../settings.ts'
import { DeadLetters } from './dead-letters.ts'

export interface WorkQueueProps {
  settings: Settings
  /** How long a message is away with one consumer before another gets it: six times the consumer's timeout, as AWS advises. */
  visibility: Duration
  /** Deliveries after which a message is a dead letter. */
  maxReceives: number
  /** One consumer at a time for each message group; the same content within five minutes is one message. */
  fifo?: boolean
}

/** A queue between two functions, and where its poison messages end. */
export class WorkQueue extends Construct {
  readonly queue: sqs.Queue
  readonly deadLetters: sqs.Queue

  constructor(scope: Construct, id: string, props: WorkQueueProps) {
    super(scope, id)
    const fifo = props.fifo ?? false
    this.deadLetters = new DeadLetters(this, 'DeadLetters', { settings: props.settings, fifo }).queue
    this.queue = new sqs.Queue(this, 'Queue', {
      ...(fifo && {
        fifo: true,
        contentBasedDeduplication: true,
        deduplicationScope: sqs.DeduplicationScope.MESSAGE_GROUP,
        fifoThroughputLimit: sqs.FifoThroughputLimit.PER_MESSAGE_GROUP_ID,
      }),
      encryption: sqs.QueueEncryption.SQS_MANAGED,
      enforceSSL: true,
      visibilityTimeout: props.visibility,
      // The most there is; what is larger goes to the bucket.
      maxMessageSizeBytes: 1024 * 1024,
      // The longest there is: events are acknowledged by then.
      retentionPeriod: Duration.days(14),
      deadLetterQueue: { queue: this.deadLetters, maxReceiveCount: props.maxReceives },
    })
  }
}
