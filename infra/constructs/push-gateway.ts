import { CfnOutput, RemovalPolicy, Validations } from 'aws-cdk-lib'
import { CfnAccount } from 'aws-cdk-lib/aws-apigateway'
import * as api from 'aws-cdk-lib/aws-apigatewayv2'
import { WebSocketLambdaAuthorizer } from 'aws-cdk-lib/aws-apigatewayv2-authorizers'
import { WebSocketLambdaIntegration } from 'aws-cdk-lib/aws-apigatewayv2-integrations'
import * as iam from 'aws-cdk-lib/aws-iam'
import * as logs from 'aws-cdk-lib/aws-logs'
import { Construct } from 'constructs'
import type { Settings } from '../settings.ts'
import { accessLog } from './access-log.ts'
import type { Lambda } from './lambda.ts'

export interface PushGatewayProps {
  settings: Settings
  authorize: Lambda
  open: Lambda
  receive: Lambda
  close: Lambda
}

/** The WebSocket door of Zerobus. The ack of a message is the route response of `$default`. */
export class PushGateway extends Construct {
  readonly socket: api.WebSocketApi

  constructor(scope: Construct, id: string, props: PushGatewayProps) {
    super(scope, id)
    const { settings } = props
    const name = `${settings.stage}-lakeflow-zerobus`
    const integration = (route: string, { fn }: Lambda) => new WebSocketLambdaIntegration(route, fn)

    this.socket = new api.WebSocketApi(this, 'Socket', {
      apiName: name,
      // Every message goes to $default; an expression must be given.
      routeSelectionExpression: '$request.body.type',
      connectRouteOptions: {
        integration: integration('open', props.open),
        authorizer: new WebSocketLambdaAuthorizer('authorize', props.authorize.fn, {
          // Every producer names the subprotocol, and a browser's token travels in it.
          identitySource: ['route.request.header.Sec-WebSocket-Protocol'],
        }),
      },
      defaultRouteOptions: { integration: integration('receive', props.receive), returnResponse: true },
      disconnectRouteOptions: { integration: integration('close', props.close) },
    })
    Validations.of(this.socket).acknowledge({
      id: 'AwsSolutions-APIG4',
      reason: 'a WebSocket API authorizes at $connect only; the other routes exist on an authorized connection',
    })
    const stage = new api.WebSocketStage(this, 'Stage', {
      webSocketApi: this.socket,
      stageName: 'v1',
      autoDeploy: true,
      accessLogSettings: accessLog(logGroupOf(this, name, settings)),
    })
    // Columns that changed, and the end of a connection, are told unasked.
    stage.grantManagementApiAccess(props.receive.fn)
    props.receive.fn.addEnvironment('CALLBACK_URL', stage.callbackUrl)
    if (settings.push.logRole) stage.node.addDependency(logRole(this))

    new CfnOutput(this, 'SocketUrl', { value: stage.url, description: 'Zerobus: where producers connect' })
  }
}

const logGroupOf = (scope: Construct, name: string, settings: Settings) =>
  new logs.LogGroup(scope, 'AccessLogs', {
    logGroupName: `/aws/vendedlogs/apis/${name}`,
    retention: settings.retention.logsDays,
    removalPolicy: RemovalPolicy.DESTROY,
  })

/** Without it a stage of a WebSocket API that logs cannot be made. It stays: other APIs of the account may use it by then. */
function logRole(scope: Construct): CfnAccount {
  const role = new iam.Role(scope, 'LogRole', {
    assumedBy: new iam.ServicePrincipal('apigateway.amazonaws.com'),
    managedPolicies: [iam.ManagedPolicy.fromAwsManagedPolicyName('service-role/AmazonAPIGatewayPushToCloudWatchLogs')],
  })
  role.applyRemovalPolicy(RemovalPolicy.RETAIN)
  Validations.of(role).acknowledge({
    id: 'AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs]',
    reason: 'the policy API Gateway documents for this role of the account',
  })
  const account = new CfnAccount(scope, 'Account', { cloudWatchRoleArn: role.roleArn })
  account.applyRemovalPolicy(RemovalPolicy.RETAIN)
  return account
}
