import { CreateTableCommand, DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3'
import { CreateScheduleGroupCommand, SchedulerClient } from '@aws-sdk/client-scheduler'
import { CreateTopicCommand, SNSClient } from '@aws-sdk/client-sns'
import { CreateQueueCommand, SQSClient } from '@aws-sdk/client-sqs'
import type { FunctionSpec } from './lambda-host.ts'
import type { Machine } from './state-machine.ts'
import { type Assembly, type Physical, type Resource, resolve, Unresolved } from './template.ts'

/** What the rehearsal runs of a deployment, found in its templates. */
export interface Account {
  functions: FunctionSpec[]
  machine: Machine
  /** Queue -> function, as the event source mappings say. */
  mappings: Mapping[]
  /** Route key -> function name, per API: `socket`, `http` and `control`. */
  routes: ReadonlyMap<string, string>
  /** What the WebSocket API asks before `$connect`, and the headers it wants for that. */
  socketAuthorizer: { functionName: string; identityHeaders: readonly string[] }
  /** The function that the HTTP door asks. */
  httpAuthorizer: string
  /** Where messages end that no function could handle. */
  deadLetters: readonly string[]
  /** Physical name by `<stack>/<logical id>`. */
  created: ReadonlyMap<string, Physical>
}

export interface Mapping {
  queueUrl: string
  functionName: string
  batchSize: number
  windowSeconds: number
  reportsFailures: boolean
  fifo: boolean
}

/**
 * Types that the rehearsal does not run, each with the reason. A type in a template that is neither created below nor
 * listed here fails the rehearsal: an emulation that skips what it does not know is a false green.
 */
const exceptions: Readonly<Record<string, string>> = {
  'AWS::ApiGateway::Account': 'the role that lets API Gateway write logs',
  'AWS::ApiGatewayV2::Stage': 'one stage, whose throttles and logs change no behaviour under test',
  'AWS::Budgets::Budget': 'a bill cannot be rehearsed',
  'AWS::CDK::Metadata': 'no resource',
  'AWS::CloudWatch::Alarm': 'asserted in the template tests: nothing evaluates alarms here',
  'AWS::CloudWatch::Dashboard': 'for people',
  'AWS::Events::Rule': 'the rehearsal calls what the rule would',
  'AWS::Glue::Database': 'names only; the catalog adapter has its own tests',
  'AWS::IAM::Policy': 'asserted in the template tests: no emulator enforces IAM',
  'AWS::IAM::Role': 'asserted in the template tests: no emulator enforces IAM',
  'AWS::Lambda::EventInvokeConfig': 'nothing is invoked asynchronously here; asserted in the template tests',
  'AWS::Lambda::Permission': 'no emulator enforces resource policies',
  'AWS::Logs::LogGroup': 'logs are read from the processes',
  'AWS::S3::BucketPolicy': 'asserted in the template tests: no emulator enforces bucket policies',
  'AWS::SNS::Subscription': 'mail is not sent',
  'AWS::SNS::TopicPolicy': 'alarms are not evaluated',
  'AWS::SQS::QueuePolicy': 'no emulator enforces queue policies',
}

const region = 'us-east-1'
const accountId = '123456789012'

/** Deploys the templates: what an emulator holds is created there, what runs becomes a description for the rehearsal. */
export async function deployAccount(assembly: Assembly, endpoint: string): Promise<Account> {
  const client = { endpoint, region, credentials: { accessKeyId: 'test', secretAccessKey: 'test' } }
  const s3 = new S3Client({ ...client, forcePathStyle: true })
  const dynamodb = new DynamoDBClient(client)
  const sqs = new SQSClient(client)
  const sns = new SNSClient(client)
  const scheduler = new SchedulerClient(client)
  const created = new Map<string, Physical>()
  const pseudo = {
    'AWS::AccountId': accountId,
    'AWS::Region': region,
    'AWS::Partition': 'aws',
    'AWS::URLSuffix': 'amazonaws.com',
    'AWS::NoValue': '',
  }
  const account = {
    functions: [] as FunctionSpec[],
    mappings: [] as Mapping[],
    machine: undefined as Machine | undefined,
  }
  const deadLetters: string[] = []
  const routes = new Map<string, string>()
  let httpAuthorizer: string | undefined
  let socketAuthorizer: Account['socketAuthorizer'] | undefined
  /** Routes whose reply goes back on the socket. */
  const answered = new Set<string>()
  const layers = new Map<string, string>()
  const arn = (service: string, name: string) => `arn:aws:${service}:${region}:${accountId}:${name}`
  const functionOf = (uri: string) => /:function:([^/]+)/.exec(uri)![1]!

  const makers: Record<string, (r: Resource, p: Properties) => Promise<Physical> | Physical> = {
    'AWS::S3::Bucket': async (r, p) => {
      const name = p.BucketName ?? `${r.stack}-${r.id}`.toLowerCase()
      await s3.send(new CreateBucketCommand({ Bucket: name }))
      return { ref: name, attributes: { Arn: `arn:aws:s3:::${name}` } }
    },
    'AWS::DynamoDB::GlobalTable': async (r, p) => {
      const name = `${r.stack}-${r.id}`
      await dynamodb.send(
        new CreateTableCommand({
          TableName: name,
          KeySchema: p.KeySchema,
          AttributeDefinitions: p.AttributeDefinitions,
          BillingMode: p.BillingMode,
        }),
      )
      return { ref: name, attributes: { Arn: arn('dynamodb', `table/${name}`) } }
    },
    'AWS::SQS::Queue': async (r, p) => {
      const name = p.QueueName ?? `${r.stack}-${r.id}${p.FifoQueue ? '.fifo' : ''}`
      const { QueueUrl } = await sqs.send(
        new CreateQueueCommand({
          QueueName: name,
          Attributes: {
            ...(p.VisibilityTimeout && { VisibilityTimeout: String(p.VisibilityTimeout) }),
            ...(p.MaximumMessageSize && { MaximumMessageSize: String(p.MaximumMessageSize) }),
            ...(p.RedrivePolicy && { RedrivePolicy: JSON.stringify(p.RedrivePolicy) }),
            ...(p.FifoQueue && {
              FifoQueue: 'true',
              ContentBasedDeduplication: String(p.ContentBasedDeduplication ?? false),
            }),
          },
        }),
      )
      if (!p.RedrivePolicy) deadLetters.push(QueueUrl!)
      return { ref: QueueUrl!, attributes: { Arn: arn('sqs', name), QueueName: name } }
    },
    'AWS::SNS::Topic': async (r, p) => {
      const { TopicArn } = await sns.send(new CreateTopicCommand({ Name: p.TopicName ?? `${r.stack}-${r.id}` }))
      return { ref: TopicArn!, attributes: { TopicArn: TopicArn!, TopicName: p.TopicName } }
    },
    'AWS::Lambda::LayerVersion': (r, p) => {
      const ref = arn('lambda', `layer:${r.id}:1`)
      layers.set(ref, assetOf(assembly, p.Content.S3Key))
      return { ref, attributes: {} }
    },
    'AWS::Lambda::Function': (_r, p) => {
      const layer = p.Layers?.[0] && layers.get(p.Layers[0])
      account.functions.push({
        name: p.FunctionName,
        folder: assetOf(assembly, p.Code.S3Key),
        handler: p.Handler,
        environment: p.Environment?.Variables ?? {},
        timeoutMs: p.Timeout * 1000,
        memoryMb: p.MemorySize,
        ...(layer && { layer }),
      })
      return { ref: p.FunctionName, attributes: { Arn: arn('lambda', `function:${p.FunctionName}`) } }
    },
    'AWS::Lambda::EventSourceMapping': (r, p) => {
      const queue = [...created.values()].find(({ attributes }) => attributes.Arn === p.EventSourceArn)!
      account.mappings.push({
        queueUrl: queue.ref,
        functionName: functionOf(arn('lambda', `function:${p.FunctionName}`)),
        batchSize: p.BatchSize,
        windowSeconds: p.MaximumBatchingWindowInSeconds ?? 0,
        reportsFailures: Boolean(p.FunctionResponseTypes?.includes('ReportBatchItemFailures')),
        fifo: p.EventSourceArn.endsWith('.fifo'),
      })
      return { ref: r.id, attributes: {} }
    },
    'AWS::StepFunctions::StateMachine': (_r, p) => {
      account.machine = JSON.parse(p.DefinitionString)
      const ref = arn('states', `stateMachine:${p.StateMachineName}`)
      return { ref, attributes: { Arn: ref, Name: p.StateMachineName } }
    },
    // Schedules are stored and never fire there: the rehearsal starts what a schedule would.
    'AWS::Scheduler::ScheduleGroup': async (_r, p) => {
      await scheduler.send(new CreateScheduleGroupCommand({ Name: p.Name }))
      return { ref: p.Name, attributes: { Arn: arn('scheduler', `schedule-group/${p.Name}`) } }
    },
    'AWS::ApiGatewayV2::Api': (r) => ({
      ref: r.id.toLowerCase(),
      attributes: { ApiEndpoint: `https://${r.id}.execute-api.${region}.amazonaws.com` },
    }),
    'AWS::ApiGatewayV2::Integration': (_r, p) => ({ ref: functionOf(p.IntegrationUri), attributes: {} }),
    'AWS::ApiGatewayV2::Route': (r, p) => {
      routes.set(p.RouteKey, p.Target.replace('integrations/', ''))
      if (p.RouteKey === '$default' && p.RouteResponseSelectionExpression !== '$default')
        throw new Error('$default selects no route response, so its replies would not reach the producer')
      return { ref: r.id, attributes: {} }
    },
    'AWS::ApiGatewayV2::RouteResponse': (r, p) => {
      answered.add(p.RouteId)
      return { ref: r.id, attributes: {} }
    },
    'AWS::ApiGatewayV2::Authorizer': (r, p) => {
      const functionName = functionOf(p.AuthorizerUri)
      const identityHeaders = p.IdentitySource.map((source: string) => source.replace('route.request.header.', ''))
      if (p.IdentitySource[0]?.startsWith('route.')) socketAuthorizer = { functionName, identityHeaders }
      else if (p.AuthorizerPayloadFormatVersion === '2.0' && p.EnableSimpleResponses) httpAuthorizer = functionName
      return { ref: r.id, attributes: {} }
    },
  }

  let waiting = assembly.resources.filter(({ type }) => type in makers)
  const unknown = assembly.resources.filter(({ type }) => !(type in makers) && !(type in exceptions))
  if (unknown.length) {
    const types = [...new Set(unknown.map(({ type }) => type))].join(', ')
    throw new Error(`the rehearsal neither runs nor excuses these resource types: ${types}`)
  }
  for (const { stack, id, type } of assembly.resources.filter(({ type }) => type in exceptions)) {
    const ref = `${stack}-${id}`
    created.set(`${stack}/${id}`, {
      ref,
      attributes: { Arn: arn(type.split('::')[1]!.toLowerCase(), ref), TopicArn: ref },
    })
  }
  while (waiting.length) {
    const later: Resource[] = []
    for (const resource of waiting) {
      let properties: Properties
      try {
        properties = resolve(resource.properties, resource.stack, { assembly, created, pseudo }) as Properties
      } catch (error) {
        if (!(error instanceof Unresolved)) throw error
        later.push(resource)
        continue
      }
      created.set(`${resource.stack}/${resource.id}`, await makers[resource.type]!(resource, properties))
    }
    if (later.length === waiting.length) throw new Error(`a circle among ${later.map(({ id }) => id).join(', ')}`)
    waiting = later
  }
  for (const client of [s3, dynamodb, sqs, sns, scheduler]) client.destroy()
  if (!account.machine) throw new Error('no state machine in the templates')
  if (!httpAuthorizer) throw new Error('no authorizer of an HTTP API with simple answers in the templates')
  if (!socketAuthorizer) throw new Error('no authorizer of a WebSocket API in the templates')
  if (answered.size === 0) throw new Error('no route response in the templates')
  return { ...account, machine: account.machine, routes, socketAuthorizer, httpAuthorizer, deadLetters, created }
}

// biome-ignore lint/suspicious/noExplicitAny: properties have the shape CloudFormation documents for each type
type Properties = Record<string, any>

const assetOf = (assembly: Assembly, key: string) => {
  const folder = assembly.assets.get(key.replace(/\.\w+$/, ''))
  if (!folder) throw new Error(`no asset ${key} in the assembly`)
  return folder
}
