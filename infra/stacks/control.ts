import { CfnOutput, Duration, RemovalPolicy, Stack, type StackProps } from 'aws-cdk-lib'
import * as api from 'aws-cdk-lib/aws-apigatewayv2'
import { HttpIamAuthorizer } from 'aws-cdk-lib/aws-apigatewayv2-authorizers'
import { HttpLambdaIntegration } from 'aws-cdk-lib/aws-apigatewayv2-integrations'
import * as events from 'aws-cdk-lib/aws-events'
import { LambdaFunction } from 'aws-cdk-lib/aws-events-targets'
import * as logs from 'aws-cdk-lib/aws-logs'
import type { Construct } from 'constructs'
import { accessLog } from '../constructs/access-log.ts'
import { duckdbLayer } from '../constructs/duckdb-layer.ts'
import { arn, Lambda } from '../constructs/lambda.ts'
import type { Settings } from '../settings.ts'
import type { ConnectorsStack } from './connectors.ts'
import { bucketName, type LakehouseStack } from './lakehouse.ts'

/** The control plane: an HTTP API that only signed IAM callers reach, and what keeps tables in shape every hour. */
export class ControlStack extends Stack {
  readonly functions: readonly Lambda[]
  readonly maintain: Lambda

  constructor(
    scope: Construct,
    id: string,
    props: StackProps & { settings: Settings; lakehouse: LakehouseStack; connectors: ConnectorsStack },
  ) {
    super(scope, id, props)
    const { settings, lakehouse, connectors } = props
    const control = new Lambda(this, 'control-api', {
      settings,
      folder: 'control-api',
      description: 'Control API: connections, pipelines, runs, events',
      environment: {
        LAKEHOUSE_BUCKET: bucketName(this, settings),
        STATE_TABLE: lakehouse.state.tableName,
        CATALOG: settings.catalog,
        STAGE: settings.stage,
        CONNECTORS: settings.connectors.join(','),
        STATE_MACHINE_ARN: connectors.sync.machine.stateMachineArn,
        SCHEDULE_GROUP: connectors.scheduleGroup.scheduleGroupName,
        SCHEDULE_ROLE_ARN: connectors.scheduleRole.roleArn,
        SCHEDULE_DEAD_LETTERS_ARN: connectors.scheduleDeadLetters.queue.queueArn,
        SCHEDULE_WINDOW_MINUTES: String(settings.scheduleWindowMinutes),
        NOTICES_TOPIC_ARN: connectors.notices.topicArn,
        PLAN_PREFIX: `${settings.stage}-lakeflow-plan-sync-`,
      },
      memoryMb: 512,
      timeout: Duration.seconds(29),
    })
    this.maintain = maintainTables(this, settings, lakehouse)
    this.functions = [control, this.maintain]
    lakehouse.state.grantReadWriteData(control.fn)
    connectors.sync.machine.grantStartExecution(control.fn)
    for (const plan of connectors.plans.values()) control.allowInvoke(plan)
    control.allow(
      ['scheduler:CreateSchedule', 'scheduler:UpdateSchedule', 'scheduler:DeleteSchedule', 'scheduler:GetSchedule'],
      [arn(this, 'scheduler', `schedule/${connectors.scheduleGroup.scheduleGroupName}/*`)],
    )
    control.allow(['sns:Subscribe', 'sns:ListSubscriptionsByTopic', 'sns:Unsubscribe'], [connectors.notices.topicArn])
    control.allow(['iam:PassRole'], [connectors.scheduleRole.roleArn], {
      StringEquals: { 'iam:PassedToService': 'scheduler.amazonaws.com' },
    })

    const http = new api.HttpApi(this, 'Api', {
      apiName: `${settings.stage}-lakeflow-control`,
      createDefaultStage: false,
    })
    http.addRoutes({
      path: '/api/{proxy+}',
      methods: [api.HttpMethod.ANY],
      integration: new HttpLambdaIntegration('control', control.fn),
      authorizer: new HttpIamAuthorizer(),
    })
    const logGroup = new logs.LogGroup(this, 'AccessLogs', {
      logGroupName: `/aws/vendedlogs/apis/${settings.stage}-lakeflow-control`,
      retention: settings.retention.logsDays,
      removalPolicy: RemovalPolicy.DESTROY,
    })
    new api.HttpStage(this, 'Stage', {
      httpApi: http,
      stageName: '$default',
      autoDeploy: true,
      accessLogSettings: accessLog(logGroup),
      throttle: { rateLimit: 50, burstLimit: 100 },
    })
    new CfnOutput(this, 'Url', { value: http.apiEndpoint, description: 'Control API (IAM-signed requests)' })
  }
}

function maintainTables(scope: Construct, settings: Settings, lakehouse: LakehouseStack): Lambda {
  const maintain = new Lambda(scope, 'maintain-tables', {
    settings,
    folder: 'maintain-tables',
    description: 'Joins small files, deletes what no version needs',
    environment: {
      LAKEHOUSE_BUCKET: bucketName(Stack.of(scope), settings),
      STATE_TABLE: lakehouse.state.tableName,
      CATALOG: settings.catalog,
      STAGE: settings.stage,
    },
    memoryMb: settings.syncMemoryMb,
    timeout: Duration.minutes(15),
    layers: [duckdbLayer(scope, settings)],
    ephemeralStorageMb: settings.mergeStorageMb,
  })
  lakehouse.state.grantReadWriteData(maintain.fn)
  maintain.allowRead(settings.catalog)
  maintain.allowWrite(settings.catalog)
  // The next hour does what this one could not: an event that waits or fails is not tried again.
  maintain.fn.configureAsyncInvoke({ retryAttempts: 0, maxEventAge: Duration.minutes(50) })
  new events.Rule(scope, 'EveryHour', {
    schedule: events.Schedule.rate(Duration.hours(1)),
    targets: [new LambdaFunction(maintain.fn, { retryAttempts: 0 })],
  })
  return maintain
}
