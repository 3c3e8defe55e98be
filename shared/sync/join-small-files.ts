import { IngestError } from '../core/errors.ts'
import { planCompaction } from '../delta/plan-compaction.ts'
import { optimizeTable } from '../load/optimize.ts'
import type { StreamRun } from './stream-run.ts'

/** A table with this many small files is read noticeably slower than one with few. */
const SMALL_FILES = 32

/**
 * Joins the small files of a run's table when there are many, ordered by its clustering columns. Planned from the log
 * alone. The stream's own work is durable by now: what cannot be done at this time is left for the next run.
 */
export async function joinSmallFiles({ task, ports, log }: StreamRun): Promise<void> {
  const table = await log.read()
  if (planCompaction(table, { smallFileCount: SMALL_FILES }).length === 0) return
  const { clusteringColumns } = task.table
  try {
    await optimizeTable(
      table.root,
      { ...ports, engine: await ports.engine(), signal: task.signal },
      { smallFileCount: SMALL_FILES, clusteringColumns },
    )
  } catch (error) {
    if (!(error instanceof IngestError) || error.remedy !== 'retry') throw error
  }
}
