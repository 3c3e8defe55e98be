import { Duration } from 'aws-cdk-lib'
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch'
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions'
import type { ITopic } from 'aws-cdk-lib/aws-sns'
import { Construct } from 'constructs'

export interface AlarmProps {
  metric: cloudwatch.IMetric
  threshold: number
  /** Anchor of the article in docs/alarms.md that says what to do. */
  runbook: string
  /** What a person reads at 3 a.m.: what is wrong, and that nothing is lost where that is so. */
  description: string
  periods?: number
  topic?: ITopic
}

/** An alarm that names its article of the runbook. */
export class Alarm extends Construct {
  constructor(scope: Construct, id: string, props: AlarmProps) {
    super(scope, id)
    const alarm = new cloudwatch.Alarm(this, 'Alarm', {
      metric: props.metric,
      threshold: props.threshold,
      comparisonOperator: cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
      evaluationPeriods: props.periods ?? 1,
      treatMissingData: cloudwatch.TreatMissingData.NOT_BREACHING,
      alarmDescription: `${props.description} See docs/alarms.md#${props.runbook}.`,
    })
    if (props.topic) alarm.addAlarmAction(new SnsAction(props.topic))
  }
}

export const fiveMinutes = { period: Duration.minutes(5) }
