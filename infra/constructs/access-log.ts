import { AccessLogFormat } from 'aws-cdk-lib/aws-apigateway'
import { type IAccessLogSettings, LogGroupLogDestination } from 'aws-cdk-lib/aws-apigatewayv2'
import type { ILogGroup } from 'aws-cdk-lib/aws-logs'

/** One JSON line a request: who, what, outcome, how long. No headers and no bodies: they may hold tokens and rows. */
export const accessLog = (logGroup: ILogGroup): IAccessLogSettings => ({
  destination: new LogGroupLogDestination(logGroup),
  format: AccessLogFormat.custom(
    JSON.stringify({
      time: '$context.requestTime',
      request: '$context.requestId',
      connection: '$context.connectionId',
      route: '$context.routeKey',
      status: '$context.status',
      error: '$context.error.message',
      integrationMs: '$context.integrationLatency',
      ip: '$context.identity.sourceIp',
    }),
  ),
})
