import * as z from 'zod'
import { finishTasks } from '../../shared/control/finish-tasks.ts'
import { noticesOf } from '../../shared/control/notices.ts'
import { readStoredSpec } from '../../shared/control/stored-spec.ts'
import { readEnv } from '../../shared/runtime/env.ts'
import { lakehousePorts } from '../lakehouse-ports.ts'
import { metrics, observed } from '../observed.ts'
import { Env } from './env.ts'
import { notify } from './sns.ts'

const Event = z.object({ pipeline: z.string(), run: z.string(), execution: z.string() })

/** Ends a run: its summary, the numbers the dashboard shows, and who is told. */
export const handler = observed(async (event: unknown) => {
  const key = Event.parse(event)
  const env = readEnv(Env, process.env)
  const ports = lakehousePorts(env)
  const run = await finishTasks(ports, key)
  if (!run) return { status: 'SKIPPED' }
  metrics.addDimension('pipeline', run.pipeline)
  const total = (field: 'rows' | 'bytes' | 'rejected') => run.streams.reduce((sum, stream) => sum + stream[field], 0)
  metrics.addMetric('RowsSynced', 'Count', total('rows'))
  metrics.addMetric('BytesSynced', 'Bytes', total('bytes'))
  metrics.addMetric('RowsQuarantined', 'Count', total('rejected'))
  const { spec } = await readStoredSpec(ports.state)
  await notify(noticesOf(run, spec.pipelines?.[run.pipeline]?.notifications), env.NOTICES_TOPIC_ARN)
  return { status: run.state, rows: total('rows') }
})
