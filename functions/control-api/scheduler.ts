import {
  ConflictException,
  CreateScheduleCommand,
  DeleteScheduleCommand,
  ResourceNotFoundException,
  SchedulerClient,
  UpdateScheduleCommand,
} from '@aws-sdk/client-scheduler'
import type { Spec } from '../../shared/pipeline/spec.ts'
import { type ScheduleExpression, scheduleExpression } from './schedule-expression.ts'

export interface ScheduleTarget {
  group: string
  stateMachineArn: string
  roleArn: string
  deadLettersArn: string
  /** A run begins within so many minutes of its time. */
  windowMinutes: number
}

const client = new SchedulerClient({})

/** Every schedule of a configuration. @throws IngestError `config.invalid` (fix) for what EventBridge cannot express */
export const schedulesOf = (spec: Spec): ReadonlyMap<string, ScheduleExpression> =>
  new Map(
    Object.entries(spec.pipelines ?? {}).flatMap(([name, pipeline]) => {
      const expression = scheduleExpression(pipeline)
      return expression ? [[name, expression] as const] : []
    }),
  )

/** Makes EventBridge's schedules those of `spec`; `before` is the configuration they were made from. Safe to repeat. */
export async function applySchedules(spec: Spec, before: Spec | undefined, target: ScheduleTarget): Promise<void> {
  const wanted = schedulesOf(spec)
  const changes = [
    ...[...wanted].map(
      ([name, expression]) =>
        () =>
          put(name, expression, connectorOf(spec, name), target),
    ),
    ...Object.keys(before?.pipelines ?? {})
      .filter((name) => !wanted.has(name))
      .map((name) => () => remove(name, target)),
  ]
  const lane = async () => {
    for (let change = changes.pop(); change; change = changes.pop()) await change()
  }
  await Promise.all(Array.from({ length: AT_A_TIME }, lane))
}

/** Hundreds of schedules must be made before the API's 29 s are over. */
const AT_A_TIME = 10

/** The type of a pipeline's connection: which Lambdas run it. */
export function connectorOf(spec: Spec, pipeline: string): string {
  const { connection_name } = spec.pipelines![pipeline]!.ingestion_definition
  return spec.connections![connection_name]!.type
}

async function put(
  pipeline: string,
  { expression, timeZone }: ScheduleExpression,
  connector: string,
  target: ScheduleTarget,
) {
  const schedule = {
    Name: pipeline,
    GroupName: target.group,
    ScheduleExpression: expression,
    ScheduleExpressionTimezone: timeZone,
    FlexibleTimeWindow:
      target.windowMinutes > 0
        ? { Mode: 'FLEXIBLE' as const, MaximumWindowInMinutes: target.windowMinutes }
        : { Mode: 'OFF' as const },
    Target: {
      Arn: target.stateMachineArn,
      RoleArn: target.roleArn,
      Input: JSON.stringify({ pipeline, connector, cause: 'JOB_TASK' }),
      DeadLetterConfig: { Arn: target.deadLettersArn },
    },
  }
  try {
    await client.send(new CreateScheduleCommand(schedule))
  } catch (error) {
    if (!(error instanceof ConflictException)) throw error
    await client.send(new UpdateScheduleCommand(schedule))
  }
}

async function remove(pipeline: string, { group }: ScheduleTarget) {
  try {
    await client.send(new DeleteScheduleCommand({ Name: pipeline, GroupName: group }))
  } catch (error) {
    if (!(error instanceof ResourceNotFoundException)) throw error
  }
}
