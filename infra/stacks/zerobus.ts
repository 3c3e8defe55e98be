import { Duration, Stack, type StackProps } from 'aws-cdk-lib'
import { SqsEventSource } from 'aws-cdk-lib/aws-lambda-event-sources'
import type { Construct } from 'constructs'
import { arn, Lambda } from '../constructs/lambda.ts'
import { PushGateway } from '../constructs/push-gateway.ts'
import { WorkQueue } from '../constructs/work-queue.ts'
import type { Settings } from '../settings.ts'
import { bucketName, type LakehouseStack, pushPrefix } from './lakehouse.ts'

/**
 * Push: a producer's message -> receive-events (validates, queues, then acks) -> flush-events (a few seconds of events into
 * one file a table) -> commit-events (many files, one version; one at a time for each table).
 */
export class ZerobusStack extends Stack {
  readonly gateway: PushGateway
  readonly events: WorkQueue
  readonly flushed: WorkQueue
  readonly functions: readonly Lambda[]

  constructor(scope: Construct, id: string, props: StackProps & { settings: Settings; lakehouse: LakehouseStack }) {
    super(scope, id, props)
    const { settings, lakehouse } = props
    const { catalog, push } = settings

    this.events = new WorkQueue(this, 'Events', { settings, visibility: Duration.minutes(6), maxReceives: 10 })
    this.flushed = new WorkQueue(this, 'Flushed', {
      settings,
      fifo: true,
      visibility: Duration.minutes(6),
      maxReceives: 10,
    })
    const environment = {
      LAKEHOUSE_BUCKET: bucketName(this, settings),
      STATE_TABLE: lakehouse.state.tableName,
      CATALOG: catalog,
      STAGE: settings.stage,
      EVENTS_QUEUE_URL: this.events.queue.queueUrl,
      FLUSHED_QUEUE_URL: this.flushed.queue.queueUrl,
    }
    const pushLambda = (
      folder: string,
      description: string,
      timeout: Duration,
      memoryMb: number,
      reservedConcurrency?: number,
    ) => {
      const reserved = reservedConcurrency === undefined ? {} : { reservedConcurrency }
      const fn = new Lambda(this, folder, {
        settings,
        folder,
        description,
        environment,
        memoryMb,
        timeout,
        ...reserved,
      })
      lakehouse.state.grantReadWriteData(fn.fn)
      fn.allowRead(catalog)
      return fn
    }
    const small = (folder: string, description: string, variables: Record<string, string>) =>
      new Lambda(this, folder, {
        settings,
        folder,
        description,
        environment: variables,
        memoryMb: 512,
        timeout: Duration.seconds(10),
      })

    const state = { STATE_TABLE: lakehouse.state.tableName }
    const authorize = small('authorize', 'Who is behind a connection or a request', { ...state, STAGE: settings.stage })
    lakehouse.state.grantReadData(authorize.fn)
    authorize.allow(
      ['secretsmanager:GetSecretValue'],
      [arn(this, 'secretsmanager', `secret:${settings.stage}/lakeflow/push/*`)],
    )
    const open = small('open-session', 'A producer connects', {})
    const close = small('close-session', 'A producer disconnects', state)
    lakehouse.state.grantReadWriteData(close.fn)

    const receive = pushLambda(
      'receive-events',
      'Validates events and acks them when they are durable',
      Duration.seconds(29),
      push.memoryMb,
      push.doorConcurrency,
    )
    const insert = pushLambda(
      'insert-events',
      'The HTTP door',
      Duration.seconds(29),
      push.memoryMb,
      push.doorConcurrency,
    )
    for (const door of [receive, insert]) {
      this.events.queue.grantSendMessages(door.fn)
      door.allowPut(`${pushPrefix}/queue`)
      // A declared table is made, and gets columns, when its first events come: entries of the log, and no data.
      door.allowPut(`${catalog}/*/_delta_log`)
    }

    const flush = pushLambda('flush-events', 'Events into one file a table', Duration.minutes(1), push.memoryMb)
    flush.allowPut(catalog)
    flush.allowRead(`${pushPrefix}/queue`)
    flush.allowWrite(`${pushPrefix}/queue`)
    flush.allowPut(`${pushPrefix}/records`)
    this.flushed.queue.grantSendMessages(flush.fn)
    flush.fn.addEventSource(
      new SqsEventSource(this.events.queue, {
        // Lambda hands over 6 MB at most, but names of objects are small: so many large batches are half a gigabyte of JSON,
        // six seconds of work.
        batchSize: 250,
        maxBatchingWindow: Duration.seconds(push.flushSeconds),
        maxConcurrency: push.flushConcurrency,
        reportBatchItemFailures: true,
      }),
    )

    const commit = pushLambda('commit-events', 'Many files into one version', Duration.minutes(1), 1024)
    commit.allowWrite(catalog)
    commit.allowRead(pushPrefix)
    commit.allowWrite(pushPrefix)
    this.events.queue.grantSendMessages(commit.fn)
    // A group is a table: its next files wait until the commit before is done.
    commit.fn.addEventSource(new SqsEventSource(this.flushed.queue, { batchSize: 10, reportBatchItemFailures: true }))

    this.functions = [authorize, open, receive, close, insert, flush, commit]
    this.gateway = new PushGateway(this, 'Gateway', { settings, authorize, open, receive, close, insert })
  }
}
