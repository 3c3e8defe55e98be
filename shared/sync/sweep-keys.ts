import type { ChangeStream } from '../connector/connector.ts'
import { plainLanding } from '../load/landing.ts'
import { merge } from '../load/merge.ts'
import { fieldsOf } from '../load/target.ts'
import { findField } from '../schema/names.ts'
import { commitStream, mergeSpec, mergesByKey, type StreamRun, stageFor } from './stream-run.ts'

/**
 * Finds rows that were deleted at a source whose changes do not tell: reads every key it has and deletes the others, when
 * the table's `hard_deletion_sync_min_interval_in_seconds` has passed, or when the source says that it lost deletes. Comes after the changes, so that each key of the
 * table was in the source before it is looked for.
 */
export async function sweepKeys(run: StreamRun, stream: ChangeStream): Promise<void> {
  const { task, ports, writer } = run
  const { hardDeletionIntervalMs, key } = task.table
  if (!stream.keys || !mergesByKey(task)) return
  const state = writer.current.state!
  const now = ports.clock.now()
  const sweptAtMs = state.sweptAtMs ?? state.loadedAtMs
  const wantedSinceMs = stream.mustSweepSince?.(state.cursor)
  const due = hardDeletionIntervalMs !== undefined && now - sweptAtMs >= hardDeletionIntervalMs
  if (!due && !(wantedSinceMs !== undefined && sweptAtMs <= wantedSinceMs)) return

  const table = await run.log.read()
  const columns = fieldsOf(table, { fields: key.map((name) => findField(stream.schema.fields, name)!) })
  const stage = stageFor(run, {
    folder: `${table.root}/_lakeflow/staged`,
    landing: plainLanding(columns),
    holds: 'rows',
  })
  try {
    for await (const message of stream.keys()) {
      task.signal.throwIfAborted()
      if (message.op !== 'checkpoint') await stage.write(message)
    }
    task.signal.throwIfAborted()
    const files = await stage.flush()
    const spec = { ...mergeSpec(task), staged: 'keys' } as const
    await commitStream(run, { ...state, sweptAtMs: now }, 0, async (snapshot) => {
      const { change } = await merge(snapshot, files, spec, { ...ports, engine: await ports.engine() })
      return change
    })
    await ports.storage.delete(files.map((file) => file.path))
  } finally {
    await stage.abort()
  }
}
