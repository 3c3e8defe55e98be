import { IngestError } from '../core/errors.ts'
import { isOpen, opensAt } from '../pipeline/refresh-window.ts'
import { readDueRefresh, readLoad, type StreamState, saveDueRefresh } from '../state/streams.ts'
import { planOf } from './load-plan.ts'
import type { StreamTask, SyncPorts } from './stream-run.ts'

/**
 * The task as it is to be done now: with a full refresh that is asked for, or due since an earlier run, if it may begin.
 * Outside of the pipeline's `full_refresh_window` it is kept for a later run, and the log says so.
 */
export async function taskNow(task: StreamTask, ports: SyncPorts, state: StreamState | null): Promise<StreamTask> {
  // A first copy is no refresh, and a window would only keep the table empty.
  if (state === null) return task
  const due = await readDueRefresh(ports.state, task)
  const isDue = due !== undefined && due.sinceMs > state.loadedAtMs
  if (!task.fullRefresh && !isDue) return task
  const wanted = task.fullRefresh ? task : { ...task, fullRefresh: true, resync: due!.resync }
  const load = await readLoad(ports.state, task)
  const begun = load && load.id !== state.loadId && planOf(load).refresh
  return begun || !(await waits(wanted, ports)) ? wanted : { ...task, fullRefresh: false }
}

/**
 * What becomes of a stream whose changes cannot be followed any more: it is copied again `now`, or it `waits` for the
 * pipeline's window.
 *
 * @throws IngestError `table.refresh_needed` (fix) when the table's `auto_full_refresh_policy` does not let it begin by itself
 */
export async function refreshAfter(
  error: IngestError,
  task: StreamTask,
  ports: SyncPorts,
  loadedAtMs: number | undefined,
): Promise<'now' | 'waits'> {
  const { autoFullRefresh: policy } = task.table
  const nextMs = policy === 'never' ? Infinity : (loadedAtMs ?? 0) + (policy?.minIntervalMs ?? 0)
  if (loadedAtMs !== undefined && ports.clock.now() < nextMs) {
    const why =
      policy === 'never'
        ? 'auto_full_refresh_policy does not allow that by itself'
        : `auto_full_refresh_policy does not allow that by itself before ${instant(nextMs)}`
    throw new IngestError(
      'table.refresh_needed',
      `${error.message}; ${task.stream} has to be copied again in full, and ${why}: lakeflow run ${task.pipeline} --full-refresh=${task.stream}`,
      { cause: error },
    )
  }
  return (await waits({ ...task, resync: true }, ports)) ? 'waits' : 'now'
}

/** True outside of the window: the refresh is then due at a later run. */
async function waits(task: StreamTask, { clock, state }: SyncPorts): Promise<boolean> {
  const { fullRefreshWindow: window } = task.table
  const now = clock.now()
  if (!window || isOpen(window, now)) return false
  await saveDueRefresh(state, task, { sinceMs: now, resync: task.resync ?? false })
  task.report({ kind: 'waiting', stream: task.stream, untilMs: opensAt(window, now) })
  return true
}

const instant = (ms: number) => new Date(ms).toISOString()
