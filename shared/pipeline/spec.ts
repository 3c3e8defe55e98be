import * as z from 'zod'
import { ignored } from './ignored.ts'
import { IngestionDefinition } from './ingestion-definition.ts'
import { PushSpec } from './push-spec.ts'

const anything = z.unknown()

/** When a pipeline runs by itself, as a Databricks job has it. */
const Schedule = z.strictObject({
  quartz_cron_expression: z
    .string()
    .min(1)
    .describe("Quartz cron, '0 0/15 * * * ?' for every quarter of an hour. The five fields of Unix cron work too."),
  timezone_id: z.string().optional().describe('IANA name of the time zone the expression is meant in. Default UTC.'),
  pause_status: z.enum(['PAUSED', 'UNPAUSED']).optional(),
})

const Trigger = z
  .strictObject({
    periodic: z
      .strictObject({
        interval: z.int().min(1),
        unit: z.enum(['SECONDS', 'MINUTES', 'HOURS', 'DAYS', 'WEEKS']),
      })
      .optional()
      .describe('Runs this long after the start of the run before.'),
    cron: z
      .strictObject({ quartz_cron_schedule: z.string().min(1), timezone_id: z.string().optional() })
      .optional()
      .describe('The older form of schedule.'),
    manual: z.strictObject({}).optional().describe('Runs only when asked.'),
    pause_status: z.enum(['PAUSED', 'UNPAUSED']).optional(),
  })
  .check((context) => {
    const given = ['periodic', 'cron', 'manual'].filter((key) => key in context.value)
    if (given.length === 1) return
    const message = `a trigger is one of periodic, cron or manual, got ${given.join(' and ') || 'none'}`
    context.issues.push({ code: 'custom', input: context.value, path: [], message })
  })

const bundleOnly = 'it belongs to the deployment of a Databricks bundle'

export const PipelineSpec = z
  .strictObject({
    ingestion_definition: IngestionDefinition,
    catalog: z.string().min(1).optional().describe('Where tables go unless an object says otherwise. Default main.'),
    schema: z
      .string()
      .min(1)
      .optional()
      .describe("Where tables go unless an object says otherwise. Default: the source's schema."),
    target: z.string().min(1).optional().describe('The older name of schema.'),
    schedule: Schedule.optional().describe('When it runs, as cron. Used by lakeflow start.'),
    trigger: Trigger.optional().describe('When it runs, as a period. Used by lakeflow start.'),
    parallelism: z.int().min(1).max(64).optional().describe('Tables read at the same time. Default 4.'),
    max_quarantined_rows: z
      .int()
      .min(0)
      .optional()
      .describe('A table stops when more rows than this were set aside in one run. Default 1000.'),
    notifications: z
      .array(
        z.strictObject({
          alerts: z
            .array(z.enum(['on-update-success', 'on-update-failure', 'on-update-fatal-failure', 'on-flow-failure']))
            .optional(),
          email_recipients: z.array(z.string()).optional(),
        }),
      )
      .optional()
      .describe('Who is told. Sent by the deployed stack; on one machine the event log has them.'),
    name: ignored(z.string(), "the key above is the pipeline's name"),
    continuous: ignored(z.boolean(), 'use a short periodic trigger'),
    configuration: ignored(z.record(z.string(), z.string()), 'there is no Spark to configure'),
    channel: ignored(z.string(), 'there are no release channels'),
    development: ignored(z.boolean(), 'there are no development pipelines'),
    edition: ignored(z.string(), 'there is one edition'),
    photon: ignored(z.boolean(), 'there is no Spark to configure'),
    serverless: ignored(z.boolean(), 'every pipeline is serverless'),
    clusters: ignored(z.array(anything), 'every pipeline is serverless'),
    environment: ignored(anything, 'there is no Python environment'),
    gateway_definition: ignored(anything, 'one pipeline extracts and applies, there is no gateway'),
    event_log: ignored(anything, 'events are in the state store; see lakeflow events'),
    budget_policy_id: ignored(z.string(), bundleOnly),
    usage_policy_id: ignored(z.string(), bundleOnly),
    run_as: ignored(anything, bundleOnly),
    permissions: ignored(z.array(anything), bundleOnly),
    tags: ignored(anything, bundleOnly),
    lifecycle: ignored(anything, bundleOnly),
    restart_window: ignored(anything, 'pipelines end when they have caught up'),
    allow_duplicate_names: ignored(z.boolean(), bundleOnly),
    id: ignored(z.string(), bundleOnly),
    root_path: ignored(z.string(), bundleOnly),
    storage: ignored(z.string(), 'tables live in the lakehouse'),
  })
  .check((context) => {
    if (!context.value.schedule || !context.value.trigger) return
    const message = 'use schedule or trigger, not both'
    context.issues.push({ code: 'custom', input: context.value, path: ['trigger'], message })
  })

const name = z
  .string()
  .regex(/^[\p{L}_][\p{L}\p{N}_.-]{0,99}$/u, 'a name starts with a letter and has letters, digits, _, - and . after it')

/** The file `lakeflow.yml`. A connection's own fields are checked by its connector (shared/control/validate.ts). */
export const Spec = z.strictObject({
  lakehouse: z
    .string()
    .min(1)
    .describe('Where the tables live: a folder, relative to this file, or s3://bucket/prefix.'),
  state: z
    .string()
    .min(1)
    .optional()
    .describe(
      'Folder of cursors, runs and events. Default: .lakeflow in the lakehouse, or beside this file when that is on S3.',
    ),
  connections: z
    .record(name, z.looseObject({ type: z.string().min(1).describe('The kind of source.') }))
    .optional()
    .describe('Address and credentials of each source. Secrets are ${env:NAME}, ${file:path} or ${secret:name}.'),
  pipelines: z.record(name, PipelineSpec).optional().describe('What is copied from where to where, and when.'),
  push: PushSpec.optional().describe('Tables that take events over a WebSocket.'),
})

export type Spec = z.infer<typeof Spec>
export type PipelineSpec = z.infer<typeof PipelineSpec>
