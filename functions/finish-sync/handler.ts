import * as z from 'zod'
import { finishTasks } from '../../shared/control/finish-tasks.ts'
import { readEnv } from '../../shared/runtime/env.ts'
import { lakehousePorts } from '../lakehouse-ports.ts'
import { metrics, observed } from '../observed.ts'
import { Env } from './env.ts'

const Event = z.object({ pipeline: z.string(), run: z.string(), execution: z.string() })

/** Ends a run: its summary, and the numbers the dashboard shows. */
export const handler = observed(async (event: unknown) => {
  const key = Event.parse(event)
  const run = await finishTasks(lakehousePorts(readEnv(Env, process.env)), key)
  if (!run) return { status: 'SKIPPED' }
  metrics.addDimension('pipeline', run.pipeline)
  const total = (field: 'rows' | 'bytes' | 'rejected') => run.streams.reduce((sum, stream) => sum + stream[field], 0)
  metrics.addMetric('RowsSynced', 'Count', total('rows'))
  metrics.addMetric('BytesSynced', 'Bytes', total('bytes'))
  metrics.addMetric('RowsQuarantined', 'Count', total('rejected'))
  return { status: run.state, rows: total('rows') }
})
