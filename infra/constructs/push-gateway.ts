import { CfnOutput, Duration, RemovalPolicy, Validations } from 'aws-cdk-lib'
import { CfnAccount } from 'aws-cdk-lib/aws-apigateway'
import * as api from 'aws-cdk-lib/aws-apigatewayv2'
import {
  HttpLambdaAuthorizer,
  HttpLambdaResponseType,
  WebSocketLambdaAuthorizer,
} from 'aws-cdk-lib/aws-apigatewayv2-authorizers'
import { HttpLambdaIntegration, WebSocketLambdaIntegration } from 'aws-cdk-lib/aws-apigatewayv2-integrations'
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
  insert: Lambda
}

/**
 * The two doors of Zerobus: a WebSocket, whose acks are the route responses of `$default`, and an HTTP API for whole requests of
 * records and for the bulk of a session (decision 0020).
 */
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
    const logGroup = new logs.LogGroup(this, 'AccessLogs', {
      logGroupName: `/aws/vendedlogs/apis/${name}`,
      retention: settings.retention.logsDays,
      removalPolicy: RemovalPolicy.DESTROY,
    })
    const stage = new api.WebSocketStage(this, 'Stage', {
      webSocketApi: this.socket,
      stageName: 'v1',
      autoDeploy: true,
      accessLogSettings: accessLog(logGroup),
    })
    // Columns that changed, and the end of a connection, are told unasked.
    stage.grantManagementApiAccess(props.receive.fn)
    props.receive.fn.addEnvironment('CALLBACK_URL', stage.callbackUrl)
    if (settings.push.logRole) stage.node.addDependency(logRole(this))

    const http = new api.HttpApi(this, 'Http', {
      apiName: `${name}-http`,
      createDefaultStage: false,
      // Producers in browsers. No cookie says who they are, so any page may ask: only a token lets it in.
      corsPreflight: {
        allowOrigins: ['*'],
        allowMethods: [api.CorsHttpMethod.POST],
        allowHeaders: ['authorization', 'content-type'],
        maxAge: Duration.days(1),
      },
    })
    const authorizer = new HttpLambdaAuthorizer('authorize-http', props.authorize.fn, {
      responseTypes: [HttpLambdaResponseType.SIMPLE],
      identitySource: ['$request.header.Authorization'],
      // A token that was taken back is refused within this time.
      resultsCacheTtl: Duration.minutes(1),
    })
    const post = (path: string, integration: string, { fn }: Lambda) =>
      http.addRoutes({
        path,
        methods: [api.HttpMethod.POST],
        integration: new HttpLambdaIntegration(integration, fn),
        authorizer,
      })
    post('/zerobus/v1/tables/{table}/insert', 'insert', props.insert)
    post('/zerobus/v1/connections/{connection}/frames', 'receive-posted', props.receive)
    props.receive.fn.addEnvironment('POST_URL', `${http.apiEndpoint}/zerobus/v1/connections`)
    new api.HttpStage(this, 'HttpStage', {
      httpApi: http,
      stageName: '$default',
      autoDeploy: true,
      accessLogSettings: accessLog(logGroup),
      throttle: { rateLimit: 1000, burstLimit: 2000 },
    })

    new CfnOutput(this, 'HttpUrl', { value: http.apiEndpoint, description: 'Zerobus: the HTTP door' })
    new CfnOutput(this, 'SocketUrl', { value: stage.url, description: 'Zerobus: where producers connect' })
  }
}

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
