import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'
import { App } from 'aws-cdk-lib'
import { Match, Template } from 'aws-cdk-lib/assertions'
import { deployment } from '../../infra/deployment.ts'
import { parseSettings } from '../../infra/settings.ts'

const { context } = JSON.parse(readFileSync(join(import.meta.dirname, '../../cdk.json'), 'utf8'))

// Templates are about resources; bundles are built and run in the rehearsal.
const app = new App({ context: { ...context, 'aws:cdk:bundling-stacks': [] } })
const stacks = deployment(
  app,
  parseSettings({ connectors: ['postgres', 'salesforce'], alarmEmail: 'oncall@example.com' }),
)
const template = {
  lakehouse: Template.fromStack(stacks.lakehouse),
  connectors: Template.fromStack(stacks.connectors),
  control: Template.fromStack(stacks.control),
  zerobus: Template.fromStack(stacks.zerobus),
  monitoring: Template.fromStack(stacks.monitoring),
}

test('all state is in one stack that is protected against deletion', () => {
  expect(stacks.lakehouse.terminationProtection).toBe(true)
  template.lakehouse.allResources('AWS::S3::Bucket', { DeletionPolicy: 'Retain' })
  template.lakehouse.allResources('AWS::DynamoDB::GlobalTable', { DeletionPolicy: 'Retain' })
  for (const other of [template.connectors, template.control, template.zerobus, template.monitoring]) {
    other.resourceCountIs('AWS::S3::Bucket', 0)
    other.resourceCountIs('AWS::DynamoDB::GlobalTable', 0)
  }
})

test('buckets are private, encrypted, and reached over TLS only', () => {
  template.lakehouse.allResourcesProperties('AWS::S3::Bucket', {
    BucketEncryption: Match.anyValue(),
    PublicAccessBlockConfiguration: {
      BlockPublicAcls: true,
      BlockPublicPolicy: true,
      IgnorePublicAcls: true,
      RestrictPublicBuckets: true,
    },
  })
  template.lakehouse.allResourcesProperties('AWS::S3::BucketPolicy', {
    PolicyDocument: {
      Statement: Match.arrayWith([
        Match.objectLike({ Effect: 'Deny', Condition: { Bool: { 'aws:SecureTransport': 'false' } } }),
      ]),
    },
  })
})

test('the state table is on demand, restorable to any second, and forgets by itself', () => {
  template.lakehouse.hasResourceProperties('AWS::DynamoDB::GlobalTable', {
    BillingMode: 'PAY_PER_REQUEST',
    TimeToLiveSpecification: { AttributeName: 'ttl', Enabled: true },
    Replicas: [
      Match.objectLike({
        PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
        DeletionProtectionEnabled: true,
      }),
    ],
  })
})

test('a connector reads the secrets of its own connections only', () => {
  const policies = Object.values(template.connectors.findResources('AWS::IAM::Policy'))
  const secretsOf = (connector: string) =>
    policies
      .filter(({ Properties }) => JSON.stringify(Properties.Roles).includes(connector))
      .flatMap(({ Properties }) => Properties.PolicyDocument.Statement)
      .filter(({ Action }) => Action === 'secretsmanager:GetSecretValue')
      .map(({ Resource }) => JSON.stringify(Resource))

  for (const connector of ['postgres', 'salesforce']) {
    const readable = secretsOf(connector)
    expect(readable).toHaveLength(2)
    for (const resource of readable) expect(resource).toContain(`:secret:dev/lakeflow/${connector}/*`)
  }
})

test('no role may do everything, or anything to everything, but for calls that know no resource', () => {
  const statements = Object.values(template).flatMap((t) =>
    Object.values(t.findResources('AWS::IAM::Policy')).flatMap(({ Properties }) => Properties.PolicyDocument.Statement),
  )

  const wide = statements.filter(({ Resource, Action }) => {
    const actions: string[] = [Action].flat()
    return actions.some((a) => a.includes('*')) || (Resource === '*' && !actions.every((a) => /^(xray|logs):/.test(a)))
  })

  expect(wide).toEqual([])
})

test('a schedule that could not start its run is a dead letter, and the first one raises an alarm', () => {
  template.connectors.resourceCountIs('AWS::SQS::Queue', 1)
  template.monitoring.resourcePropertiesCountIs(
    'AWS::CloudWatch::Alarm',
    {
      MetricName: 'ApproximateNumberOfMessagesVisible',
      Threshold: 1,
      AlarmDescription: Match.stringLikeRegexp('schedule'),
    },
    1,
  )
})

test('every alarm names an article that is there, and reaches a person', () => {
  const alarms = Object.values(template.monitoring.findResources('AWS::CloudWatch::Alarm'))

  const articles = readFileSync(join(import.meta.dirname, '../../docs/alarms.md'), 'utf8')
  for (const { Properties } of alarms) {
    expect(articles).toContain(`<a id="${/#([a-z-]+)\.$/.exec(Properties.AlarmDescription)?.[1]}"></a>`)
    expect(Properties.AlarmDescription).toMatch(/docs\/alarms\.md#[a-z-]+\.$/)
    expect(Properties.AlarmActions).toHaveLength(1)
  }
  template.monitoring.hasResourceProperties('AWS::SNS::Subscription', {
    Protocol: 'email',
    Endpoint: 'oncall@example.com',
  })
})

test('a run that is cut off after a day, a refused call and an hourly job that failed once are seen too', () => {
  const alarms = Object.values(template.monitoring.findResources('AWS::CloudWatch::Alarm')).map((a) => a.Properties)
  const of = (text: string) => alarms.filter(({ AlarmDescription }) => AlarmDescription.includes(text))

  expect(JSON.stringify(of('#run-failed')[0].Metrics)).toMatch(/ExecutionsFailed.*ExecutionsTimedOut/)
  expect(of('#throttled')).toMatchObject([{ Namespace: 'AWS/Lambda', MetricName: 'Throttles', EvaluationPeriods: 3 }])
  expect(of('maintain-tables failed')).toMatchObject([{ EvaluationPeriods: 1 }])
  expect(of('#not-maintained')).toMatchObject([
    { Namespace: 'Lakeflow', MetricName: 'TablesNotMaintained', Period: 3600, EvaluationPeriods: 3 },
  ])
})

test('what the bucket no longer needs is not paid for: events that were committed, and what marks a deleted file', () => {
  template.lakehouse.hasResourceProperties('AWS::S3::Bucket', {
    LifecycleConfiguration: {
      Rules: Match.arrayWith([
        Match.objectLike({ NoncurrentVersionExpiration: { NoncurrentDays: 7 }, ExpiredObjectDeleteMarker: true }),
        Match.objectLike({
          Prefix: '_push/',
          ExpirationInDays: 30,
          NoncurrentVersionExpiration: { NoncurrentDays: 1 },
        }),
      ]),
    },
  })
})

test('the doors of push take no more of the account than they are given', () => {
  const limited = new App({ context: { ...context, 'aws:cdk:bundling-stacks': [] } })
  const { zerobus } = deployment(limited, parseSettings({ push: { doorConcurrency: 50 } }))
  const functions = Object.values(Template.fromStack(zerobus).findResources('AWS::Lambda::Function'))
  const reserved = functions.flatMap(({ Properties: { FunctionName, ReservedConcurrentExecutions: n } }) =>
    n === undefined ? [] : [[FunctionName, n]],
  )

  expect(reserved.sort()).toEqual([
    ['dev-lakeflow-insert-events', 50],
    ['dev-lakeflow-receive-events', 50],
  ])
})

test('every Lambda runs Node 24 on arm64, is traced, and keeps its log for a stated time', () => {
  for (const t of [template.connectors, template.control, template.zerobus]) {
    t.allResourcesProperties('AWS::Lambda::Function', {
      Runtime: 'nodejs24.x',
      Architectures: ['arm64'],
      TracingConfig: { Mode: 'Active' },
    })
    t.allResourcesProperties('AWS::Logs::LogGroup', { RetentionInDays: 30 })
  }
})

test('the control API is closed without signed credentials', () => {
  template.control.allResourcesProperties('AWS::ApiGatewayV2::Route', { AuthorizationType: 'AWS_IAM' })
})

test('a connection is authorized, every message goes to one route, and its reply goes back on the socket', () => {
  template.zerobus.hasResourceProperties('AWS::ApiGatewayV2::Route', {
    RouteKey: '$connect',
    AuthorizationType: 'CUSTOM',
  })
  template.zerobus.hasResourceProperties('AWS::ApiGatewayV2::Route', {
    RouteKey: '$default',
    RouteResponseSelectionExpression: '$default',
  })
  template.zerobus.resourceCountIs('AWS::ApiGatewayV2::RouteResponse', 1)
})

test('the HTTP door asks the same authorizer, and has no route without it', () => {
  const routes = Object.values(template.zerobus.findResources('AWS::ApiGatewayV2::Route')).map((r) => r.Properties)

  const open = routes.filter(({ AuthorizationType }) => AuthorizationType !== 'CUSTOM').map(({ RouteKey }) => RouteKey)
  expect(open.sort()).toEqual(['$default', '$disconnect'])
  for (const path of ['tables/{table}/insert', 'connections/{connection}/frames'])
    template.zerobus.hasResourceProperties('AWS::ApiGatewayV2::Route', { RouteKey: `POST /zerobus/v1/${path}` })
})

test('queues of push are encrypted, keep events as long as SQS can, and end poison messages where an alarm sees them', () => {
  const queues = Object.values(template.zerobus.findResources('AWS::SQS::Queue')).map(({ Properties }) => Properties)
  const [work, dead] = [queues.filter((q) => q.RedrivePolicy), queues.filter((q) => !q.RedrivePolicy)]

  expect(queues.map((q) => q.SqsManagedSseEnabled)).toEqual([true, true, true, true])
  expect(work.map((q) => q.MessageRetentionPeriod)).toEqual([14 * 86_400, 14 * 86_400])
  expect(work.map((q) => q.FifoQueue ?? false).sort()).toEqual(dead.map((q) => q.FifoQueue ?? false).sort())
  template.monitoring.resourcePropertiesCountIs(
    'AWS::CloudWatch::Alarm',
    { MetricName: 'ApproximateNumberOfMessagesVisible', AlarmDescription: Match.stringLikeRegexp('push-dead-letters') },
    2,
  )
})

test('a message is away six times as long as its consumer may run, and failures are told one by one', () => {
  const functions = Object.values(template.zerobus.findResources('AWS::Lambda::Function')).map((f) => f.Properties)
  const timeoutOf = (folder: string) => functions.find((f) => f.FunctionName.endsWith(folder)).Timeout
  const visibility = Object.values(template.zerobus.findResources('AWS::SQS::Queue')).flatMap(
    ({ Properties }) => Properties.VisibilityTimeout ?? [],
  )

  expect(visibility).toEqual([6 * timeoutOf('flush-events'), 6 * timeoutOf('commit-events')])
  template.zerobus.allResourcesProperties('AWS::Lambda::EventSourceMapping', {
    FunctionResponseTypes: ['ReportBatchItemFailures'],
  })
})

test('who receives events writes no data file, and deletes nothing', () => {
  const statements = Object.values(template.zerobus.findResources('AWS::IAM::Policy'))
    .filter(({ Properties }) => /receiveevents|insertevents/.test(JSON.stringify(Properties.Roles)))
    .flatMap(({ Properties }) => Properties.PolicyDocument.Statement)
    .filter(({ Action }) => /s3:(Put|Delete)/.test(JSON.stringify(Action)))

  expect(statements.length).toBeGreaterThan(0)
  for (const { Action, Resource } of statements) {
    expect(JSON.stringify(Action)).not.toContain('Delete')
    for (const resource of [Resource].flat().map((r) => JSON.stringify(r)))
      expect(resource).toMatch(/\/main\/\*\/_delta_log\/\*|\/_push\/queue\/\*/)
  }
})

test('settings refuse what they do not know and say what they wanted', () => {
  expect(() => parseSettings({ stage: 'Prod!' })).toThrow(/stage/)
  expect(() => parseSettings({ conectors: [] })).toThrow(/conectors/)
})

test('every hour tables are kept in shape by a function that reads and writes the catalog only', () => {
  template.control.hasResourceProperties('AWS::Events::Rule', { ScheduleExpression: 'rate(1 hour)', State: 'ENABLED' })
  template.control.hasResourceProperties('AWS::Lambda::EventInvokeConfig', { MaximumRetryAttempts: 0 })
  const policies = Object.values(template.control.findResources('AWS::IAM::Policy'))
  const writes = policies
    .filter(({ Properties }) => JSON.stringify(Properties.Roles).includes('maintaintables'))
    .flatMap(({ Properties }) => Properties.PolicyDocument.Statement)
    .filter(({ Action }) => [Action].flat().includes('s3:PutObject'))

  expect(writes).toHaveLength(1)
  expect(JSON.stringify(writes[0].Resource)).toMatch(/\/main\/\*/)
})

test('only the function that ends runs publishes notices, over TLS', () => {
  template.connectors.hasResourceProperties('AWS::SNS::TopicPolicy', {
    PolicyDocument: {
      Statement: Match.arrayWith([
        Match.objectLike({ Effect: 'Deny', Condition: { Bool: { 'aws:SecureTransport': 'false' } } }),
      ]),
    },
  })
  const policies = Object.values(template.connectors.findResources('AWS::IAM::Policy'))
  const publishing = policies.filter(({ Properties }) =>
    JSON.stringify(Properties.PolicyDocument).includes('sns:Publish'),
  )

  expect(publishing).toHaveLength(1)
  expect(JSON.stringify(publishing[0]!.Properties.Roles)).toContain('finishsync')
})
