import { IngestError } from '../core/errors.ts'
import type { ResolvedTable } from '../pipeline/resolve.ts'
import type { Storage } from '../storage/storage.ts'

/** What one task of a run works on. A plan is too big for a state machine's payload, so it is an object of the lakehouse. */
export interface TaskPlan {
  task: string
  streams: readonly StreamPlan[]
  /** The pipeline captures tables that this run does not read. */
  othersWait?: boolean
}

export interface StreamPlan {
  /** The destination: `main.shop.orders`. */
  stream: string
  table: ResolvedTable
  fullRefresh: boolean
}

/** The task of all streams that are read by change capture. */
const CAPTURE = 'change-capture'

/**
 * A stream is a task of its own, except with change capture: those of a pipeline share one place in the source's log,
 * which one connection reads, and which moves on when that connection has acknowledged all of its tables.
 */
export function planOf(streams: readonly StreamPlan[], othersWait: boolean): TaskPlan[] {
  const captured = streams.filter(({ table }) => table.mode === 'cdc')
  const alone = streams.filter(({ table }) => table.mode !== 'cdc')
  return [
    ...(captured.length > 0 ? [{ task: CAPTURE, streams: captured, othersWait }] : []),
    ...alone.map((plan) => ({ task: plan.stream, streams: [plan] })),
  ]
}

/** Where the plan of a run is stored. */
export const planPath = (run: string) => `_runs/${run}.json`

export async function writePlan(storage: Storage, run: string, plan: readonly TaskPlan[]): Promise<void> {
  await storage.put(planPath(run), Buffer.from(JSON.stringify(plan)))
}

/** @throws IngestError `state.invalid` (fix) when the plan is gone: it is kept as long as logs are */
export async function readPlan(storage: Storage, run: string): Promise<TaskPlan[]> {
  const bytes = await storage.get(planPath(run))
  if (!bytes) throw new IngestError('state.invalid', `the plan of run ${run} is gone; start the pipeline again`)
  return JSON.parse(Buffer.from(bytes).toString('utf8'))
}
