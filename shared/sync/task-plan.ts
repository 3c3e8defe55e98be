import { IngestError } from '../core/errors.ts'
import type { ResolvedTable } from '../pipeline/resolve.ts'
import type { Storage } from '../storage/storage.ts'

/** The streams of a run whose streams are tasks of their own. Too big for a state machine's payload, so it is an object. */
export interface TaskPlan {
  stream: string
  table: ResolvedTable
  fullRefresh: boolean
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
