import { Duration, Stack, type StackProps } from 'aws-cdk-lib'
import * as budgets from 'aws-cdk-lib/aws-budgets'
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch'
import * as iam from 'aws-cdk-lib/aws-iam'
import * as lambda from 'aws-cdk-lib/aws-lambda'
import * as sns from 'aws-cdk-lib/aws-sns'
import { EmailSubscription } from 'aws-cdk-lib/aws-sns-subscriptions'
import type { Construct } from 'constructs'
import { Alarm, fiveMinutes } from '../constructs/alarm.ts'
import { METRICS } from '../constructs/lambda.ts'
import type { Settings } from '../settings.ts'
import type { ConnectorsStack } from './connectors.ts'
import type { ControlStack } from './control.ts'
import type { ZerobusStack } from './zerobus.ts'

export interface MonitoringProps extends StackProps {
  settings: Settings
  connectors: ConnectorsStack
  control: ControlStack
  zerobus: ZerobusStack
}

/** One dashboard, the alarms, and a budget. Every alarm links to an article of the runbook. */
export class MonitoringStack extends Stack {
  constructor(scope: Construct, id: string, props: MonitoringProps) {
    super(scope, id, props)
    const { settings, connectors, control, zerobus } = props
    const topic = new sns.Topic(this, 'Alarms', { enforceSSL: true })
    topic.addToResourcePolicy(
      new iam.PolicyStatement({
        principals: [new iam.ServicePrincipal('cloudwatch.amazonaws.com')],
        actions: ['sns:Publish'],
        resources: [topic.topicArn],
        conditions: { StringEquals: { 'aws:SourceAccount': this.account } },
      }),
    )
    if (settings.alarmEmail) topic.addSubscription(new EmailSubscription(settings.alarmEmail))
    const functions = [...connectors.functions, ...control.functions, ...zerobus.functions]

    new Alarm(this, 'MissedSchedules', {
      topic,
      metric: connectors.scheduleDeadLetters.queue.metricApproximateNumberOfMessagesVisible(fiveMinutes),
      threshold: 1,
      runbook: 'dead-letters',
      description: 'A schedule could not start its run. The next run catches up.',
    })
    new Alarm(this, 'RunsFailed', {
      topic,
      metric: new cloudwatch.MathExpression({
        expression: 'failed + timedOut',
        label: 'Runs that failed or took over a day',
        usingMetrics: {
          failed: connectors.sync.machine.metricFailed(),
          timedOut: connectors.sync.machine.metricTimedOut(),
        },
        ...fiveMinutes,
      }),
      threshold: 1,
      runbook: 'run-failed',
      description: 'A pipeline run failed. Tables keep their last version; the next run goes on from the cursors.',
    })
    for (const [name, { queue, deadLetters }] of Object.entries({ Events: zerobus.events, Flushed: zerobus.flushed })) {
      new Alarm(this, `DeadLetters-${name}`, {
        topic,
        metric: deadLetters.metricApproximateNumberOfMessagesVisible(fiveMinutes),
        threshold: 1,
        runbook: 'push-dead-letters',
        description: 'Pushed events could not be stored. They are kept, and are not in their table.',
      })
      new Alarm(this, `Age-${name}`, {
        topic,
        metric: queue.metricApproximateAgeOfOldestMessage(fiveMinutes),
        threshold: 300,
        runbook: 'push-behind',
        description: 'Pushed events wait for more than five minutes. They are durable; their tables are behind.',
      })
    }
    for (const one of functions) {
      const { fn, node } = one
      new Alarm(this, `Errors-${node.id}`, {
        topic,
        metric: fn.metricErrors(fiveMinutes),
        threshold: 1,
        // One error passes by itself, as long as its event comes again. This one runs once an hour.
        periods: one === control.maintain ? 1 : 2,
        runbook: 'function-errors',
        description: `The Lambda ${node.id} failed in a way the code did not expect.`,
      })
    }
    new Alarm(this, 'Throttled', {
      topic,
      // Of the account and region, whose concurrency they all share.
      metric: lambda.Function.metricAllThrottles({ ...fiveMinutes, statistic: 'Sum' }),
      threshold: 1,
      periods: 3,
      runbook: 'throttled',
      description:
        'Lambda has refused calls for a quarter of an hour. What was refused is tried again; it all takes longer.',
    })
    new Alarm(this, 'NotMaintained', {
      topic,
      metric: new cloudwatch.Metric({
        namespace: METRICS,
        metricName: 'TablesNotMaintained',
        dimensionsMap: { service: control.maintain.fn.functionName },
        statistic: 'Sum',
        period: Duration.hours(1),
      }),
      threshold: 1,
      periods: 3,
      runbook: 'not-maintained',
      description: 'A table could not be maintained for three hours. Its rows are right; its small and old files stay.',
    })

    new cloudwatch.Dashboard(this, 'Dashboard', {
      dashboardName: `${settings.stage}-lakeflow`,
      widgets: [
        [
          new cloudwatch.GraphWidget({
            title: 'Runs',
            left: [connectors.sync.machine.metricSucceeded(), connectors.sync.machine.metricFailed()],
          }),
        ],
        [
          new cloudwatch.GraphWidget({
            title: 'Push: age of the oldest event',
            left: [zerobus.events, zerobus.flushed].map(({ queue }) => queue.metricApproximateAgeOfOldestMessage()),
          }),
          new cloudwatch.GraphWidget({
            title: 'Push: messages',
            left: [zerobus.events.queue.metricNumberOfMessagesSent()],
          }),
        ],
        [
          new cloudwatch.GraphWidget({ title: 'Duration', left: functions.map(({ fn }) => fn.metricDuration()) }),
          new cloudwatch.GraphWidget({ title: 'Errors', left: functions.map(({ fn }) => fn.metricErrors()) }),
        ],
      ],
    })

    if (settings.monthlyBudgetUsd) {
      const subscribers = [{ subscriptionType: 'SNS', address: topic.topicArn }]
      topic.grantPublish(new iam.ServicePrincipal('budgets.amazonaws.com'))
      new budgets.CfnBudget(this, 'Budget', {
        budget: {
          budgetType: 'COST',
          timeUnit: 'MONTHLY',
          budgetLimit: { amount: settings.monthlyBudgetUsd, unit: 'USD' },
          costFilters: { TagKeyValue: [`user:lakeflow-stage$${settings.stage}`] },
        },
        notificationsWithSubscribers: [
          { notification: notification('ACTUAL', 80), subscribers },
          { notification: notification('FORECASTED', 100), subscribers },
        ],
      })
    }
  }
}

const notification = (notificationType: 'ACTUAL' | 'FORECASTED', threshold: number) => ({
  notificationType,
  threshold,
  thresholdType: 'PERCENTAGE',
  comparisonOperator: 'GREATER_THAN',
})
