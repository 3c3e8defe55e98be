import { CfnOutput, Duration, RemovalPolicy, Stack, type StackProps } from 'aws-cdk-lib'
import * as api from 'aws-cdk-lib/aws-apigatewayv2'
import { HttpIamAuthorizer } from 'aws-cdk-lib/aws-apigatewayv2-authorizers'
import { HttpLambdaIntegration } from 'aws-cdk-lib/aws-apigatewayv2-integrations'
import * as logs from 'aws-cdk-lib/aws-logs'
import type { Construct } from 'constructs'
import { accessLog } from '../constructs/access-log.ts'
import { arn, Lambda } from '../constructs/lambda.ts'
import type { Settings } from '../settings.ts'
import type { ConnectorsStack } from './connectors.ts'
import { bucketName, type LakehouseStack } from './lakehouse.ts'

/** The control plane: an HTTP API that only signed IAM callers reach. Connections, pipelines, runs, events. */
export class ControlStack extends Stack {
  readonly functions: readonly Lambda[]

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
        PLAN_PREFIX: `${settings.stage}-lakeflow-plan-sync-`,
      },
      memoryMb: 512,
      timeout: Duration.seconds(29),
    })
    this.functions = [control]
    lakehouse.state.grantReadWriteData(control.fn)
    connectors.sync.machine.grantStartExecution(control.fn)
    for (const plan of connectors.plans.values()) control.allowInvoke(plan)
    control.allow(
      ['scheduler:CreateSchedule', 'scheduler:UpdateSchedule', 'scheduler:DeleteSchedule', 'scheduler:GetSchedule'],
      [arn(this, 'scheduler', `schedule/${connectors.scheduleGroup.scheduleGroupName}/*`)],
    )
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
