import type { PipelineSpec } from '../pipeline/spec.ts'
import type { Run } from '../state/runs.ts'

type Notification = NonNullable<PipelineSpec['notifications']>[number]
type Alert = NonNullable<Notification['alerts']>[number]

/** What people are told of a run that has ended. */
export interface Notice {
  recipient: string
  /** One line of at most 100 characters. */
  subject: string
  text: string
}

/** Of a notification that names no alerts. */
const failures: readonly Alert[] = ['on-update-failure', 'on-update-fatal-failure', 'on-flow-failure']

/** One notice for each recipient that asked for what the run came to; none for a run that nobody asked about. */
export function noticesOf(run: Run, notifications: readonly Notification[] = []): Notice[] {
  const alerts = alertsOf(run)
  const recipients = notifications
    .filter(({ alerts: asked = failures }) => asked.some((alert) => alerts.has(alert)))
    .flatMap(({ email_recipients = [] }) => email_recipients)
  const subject = `Lakeflow: ${run.pipeline} is ${run.state}`.slice(0, 100)
  return [...new Set(recipients)].map((recipient) => ({ recipient, subject, text: textOf(run) }))
}

/** Every recipient of a configuration's pipelines. */
export const recipientsOf = (pipelines: Readonly<Record<string, PipelineSpec>> = {}): ReadonlySet<string> =>
  new Set(
    Object.values(pipelines).flatMap(({ notifications = [] }) =>
      notifications.flatMap(({ email_recipients = [] }) => email_recipients),
    ),
  )

/** As Databricks names them: fatal is what will fail again until a person has seen to it. */
function alertsOf(run: Run): ReadonlySet<Alert> {
  const failed = run.streams.filter(({ state }) => state === 'FAILED')
  const alerts = new Set<Alert>()
  if (run.state === 'COMPLETED') alerts.add('on-update-success')
  if (run.state === 'FAILED') alerts.add('on-update-failure')
  if (failed.length > 0) alerts.add('on-flow-failure')
  if (failed.some(({ error }) => error && error.remedy !== 'retry')) alerts.add('on-update-fatal-failure')
  return alerts
}

/** Which streams failed and what to do; errors have no values of rows in them. */
function textOf(run: Run): string {
  const seconds = Math.round(((run.endedAtMs ?? run.startedAtMs) - run.startedAtMs) / 1000)
  const rows = run.streams.reduce((sum, stream) => sum + stream.rows, 0)
  const failed = run.streams.filter(({ state }) => state === 'FAILED')
  return [
    `Run ${run.id} of the pipeline ${run.pipeline} is ${run.state} after ${seconds} s: ${run.streams.length} tables, ${rows} rows.`,
    ...failed.map(
      ({ stream, error }) => `${stream} failed: ${error?.message ?? 'no reason is known'} (${error?.code})`,
    ),
    ...(failed.length > 0 ? ['Tables keep their last version. Each code has an article in docs/runbook.md.'] : []),
  ].join('\n\n')
}
