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
  for (const [pipeline, expression] of wanted) await put(pipeline, expression, connectorOf(spec, pipeline), target)
  for (const pipeline of Object.keys(before?.pipelines ?? {})) {
    if (!wanted.has(pipeline)) await remove(pipeline, target)
  }
}

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
    FlexibleTimeWindow: { Mode: 'OFF' as const },
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
