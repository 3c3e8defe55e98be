import { Duration, RemovalPolicy, Stack } from 'aws-cdk-lib'
import * as iam from 'aws-cdk-lib/aws-iam'
import * as logs from 'aws-cdk-lib/aws-logs'
import * as sfn from 'aws-cdk-lib/aws-stepfunctions'
import { Construct } from 'constructs'
import type { Settings } from '../settings.ts'
import { bucketName, runPrefix } from '../stacks/lakehouse.ts'
import { arn, type Lambda, lakehouseArn } from './lambda.ts'

export interface SyncStateMachineProps {
  settings: Settings
  /** Name of a connector's Lambda is this and the connector's name. */
  planPrefix: string
  streamPrefix: string
  connectorFunctions: readonly Lambda[]
  finish: Lambda
}

/**
 * One run of one pipeline. Input: `{ pipeline, connector, cause, refresh? }`.
 *
 *   Plan -> Skip?  -> Tasks (a map over the plan in S3)            -> Finish
 *                       Task -> Next? -- more --> Task
 *                                     -- retry -> Pause -> Task
 *                                     -- done, failed -> (end of this task)
 *
 * A task is one stream, or all that are read from one log. A stream's failure ends that stream only; Finish tells the
 * run's outcome. Nothing but names and counters travels through the payload, so it stays far under 256 KB however many
 * streams there are.
 */
export class SyncStateMachine extends Construct {
  readonly machine: sfn.StateMachine

  constructor(scope: Construct, id: string, props: SyncStateMachineProps) {
    super(scope, id)
    const { settings } = props
    const name = `${settings.stage}-lakeflow-sync`
    const logGroup = new logs.LogGroup(this, 'Logs', {
      logGroupName: `/aws/vendedlogs/states/${name}`,
      retention: settings.retention.logsDays,
      removalPolicy: RemovalPolicy.DESTROY,
    })
    this.machine = new sfn.StateMachine(this, 'Machine', {
      stateMachineName: name,
      definitionBody: sfn.DefinitionBody.fromString(
        JSON.stringify(definition({ ...props, bucketName: bucketName(Stack.of(this), settings) })),
      ),
      timeout: Duration.days(1),
      tracingEnabled: true,
      logs: { destination: logGroup, level: sfn.LogLevel.ALL, includeExecutionData: false },
      removalPolicy: RemovalPolicy.DESTROY,
    })
    const allow = (actions: string[], resources: string[]) =>
      this.machine.addToRolePolicy(new iam.PolicyStatement({ actions, resources }))
    allow(
      ['lambda:InvokeFunction'],
      [...props.connectorFunctions, props.finish].map(({ fn }) => fn.functionArn),
    )
    allow(['s3:GetObject'], [`${lakehouseArn(this, settings)}/${runPrefix}/*`])
    // A distributed map runs its items as executions of this same machine. Named by hand: the role cannot wait for the
    // machine that waits for the role.
    allow(['states:StartExecution'], [arn(this, 'states', `stateMachine:${name}`)])
    allow(
      ['states:DescribeExecution', 'states:StopExecution'],
      [arn(this, 'states', `execution:${name}:*`), arn(this, 'states', `execution:${name}/*:*`)],
    )
  }
}

/** The definition in Amazon States Language (JSONPath), as deployed and as the rehearsal executes it. */
export function definition(props: SyncStateMachineProps & { bucketName: string }) {
  // The service's own passing faults. Ours never surface as Lambda errors: they are statuses.
  const serviceFaults = {
    ErrorEquals: [
      'Lambda.ServiceException',
      'Lambda.AWSLambdaException',
      'Lambda.SdkClientException',
      'Lambda.TooManyRequestsException',
    ],
    IntervalSeconds: 2,
    MaxAttempts: 6,
    BackoffRate: 2,
    MaxDelaySeconds: 60,
    JitterStrategy: 'FULL',
  }
  // Out of memory or of time. A task counts these itself: it is not to be tried for hours.
  const crashes = {
    ErrorEquals: ['Lambda.Unknown', 'Sandbox.Timedout', 'States.Timeout'],
    IntervalSeconds: 5,
    MaxAttempts: 2,
    BackoffRate: 2,
    JitterStrategy: 'FULL',
  }
  const invoke = (
    functionName: Record<string, string>,
    payload: Record<string, unknown>,
    retry: object[] = [serviceFaults, crashes],
  ) => ({
    Type: 'Task',
    Resource: 'arn:aws:states:::lambda:invoke',
    Parameters: { ...functionName, Payload: payload },
    ResultSelector: { 'result.$': '$.Payload' },
    // No function of ours runs longer: what is silent until then is lost.
    TimeoutSeconds: 960,
    Retry: retry,
  })
  const byConnector = (prefix: string) => ({ 'FunctionName.$': `States.Format('${prefix}{}', $.connector)` })

  return {
    Comment: 'One run of one pipeline: plan, run every task, finish.',
    StartAt: 'Plan',
    States: {
      Plan: {
        ...invoke(byConnector(props.planPrefix), { 'input.$': '$', 'execution.$': '$$.Execution.Name' }),
        ResultPath: '$.plan',
        Catch: [{ ErrorEquals: ['States.ALL'], ResultPath: '$.error', Next: 'Failed' }],
        Next: 'Skip?',
      },
      'Skip?': {
        Type: 'Choice',
        Choices: [{ Variable: '$.plan.result.status', StringEquals: 'planned', Next: 'Tasks' }],
        // Another run of this pipeline holds it, or planning failed with a remedy that is not ours: told by the run itself.
        Default: 'Finish',
      },
      Tasks: {
        Type: 'Map',
        ItemReader: {
          Resource: 'arn:aws:states:::s3:getObject',
          ReaderConfig: { InputType: 'JSON' },
          Parameters: { Bucket: props.bucketName, 'Key.$': '$.plan.result.key' },
        },
        ItemSelector: {
          'run.$': '$.plan.result.run',
          // Of the run, not of the map's child.
          'execution.$': '$$.Execution.Name',
          'pipeline.$': '$.pipeline',
          'connector.$': '$.connector',
          'task.$': '$$.Map.Item.Value.task',
          attempt: 0,
        },
        ItemProcessor: {
          ProcessorConfig: { Mode: 'DISTRIBUTED', ExecutionType: 'STANDARD' },
          StartAt: 'Task',
          States: {
            Task: {
              ...invoke(
                byConnector(props.streamPrefix),
                {
                  'run.$': '$.run',
                  'execution.$': '$.execution',
                  'pipeline.$': '$.pipeline',
                  'task.$': '$.task',
                  'attempt.$': '$.attempt',
                },
                [serviceFaults],
              ),
              ResultPath: '$.outcome',
              // A crash of the Lambda (out of memory, timeout): the next task takes its lease and resumes from its cursor.
              Catch: [{ ErrorEquals: ['States.ALL'], ResultPath: '$.error', Next: 'Crashed' }],
              Next: 'Next?',
            },
            Crashed: {
              Type: 'Choice',
              Choices: [{ Variable: '$.attempt', NumericGreaterThanEquals: 3, Next: 'Given up' }],
              Default: 'Count',
            },
            Count: {
              Type: 'Pass',
              Parameters: {
                'run.$': '$.run',
                'execution.$': '$.execution',
                'pipeline.$': '$.pipeline',
                'connector.$': '$.connector',
                'task.$': '$.task',
                'attempt.$': 'States.MathAdd($.attempt, 1)',
              },
              Next: 'After a crash',
            },
            'After a crash': { Type: 'Wait', Seconds: 10, Next: 'Task' },
            'Given up': { Type: 'Pass', Result: {}, End: true },
            'Next?': {
              Type: 'Choice',
              Choices: [
                { Variable: '$.outcome.result.status', StringEquals: 'more', Next: 'Again' },
                { Variable: '$.outcome.result.status', StringEquals: 'retry', Next: 'Pause' },
              ],
              Default: 'Task ended',
            },
            Pause: { Type: 'Wait', SecondsPath: '$.outcome.result.retryAfterSeconds', Next: 'Again' },
            Again: {
              Type: 'Pass',
              Parameters: {
                'run.$': '$.run',
                'execution.$': '$.execution',
                'pipeline.$': '$.pipeline',
                'connector.$': '$.connector',
                'task.$': '$.task',
                'attempt.$': '$.outcome.result.attempt',
              },
              Next: 'Task',
            },
            // The map collects what its items end with, and 256 KB of that end the run: Finish reads outcomes from the state table.
            'Task ended': { Type: 'Pass', Result: {}, End: true },
          },
        },
        MaxConcurrency: props.settings.syncConcurrency,
        ToleratedFailurePercentage: 100,
        ResultPath: null,
        Catch: [{ ErrorEquals: ['States.ALL'], ResultPath: '$.error', Next: 'Finish' }],
        Next: 'Finish',
      },
      Finish: {
        ...invoke(
          { FunctionName: props.finish.fn.functionName },
          { 'pipeline.$': '$.pipeline', 'run.$': '$.plan.result.run', 'execution.$': '$$.Execution.Name' },
        ),
        ResultPath: '$.summary',
        Next: 'Succeeded?',
      },
      'Succeeded?': {
        Type: 'Choice',
        Choices: [{ Variable: '$.summary.result.status', StringEquals: 'FAILED', Next: 'Failed' }],
        Default: 'Done',
      },
      Done: { Type: 'Succeed' },
      Failed: {
        Type: 'Fail',
        Error: 'RunFailed',
        Cause: 'See the run in the event log: lakeflow events, or the control API.',
      },
    },
  }
}
