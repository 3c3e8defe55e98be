import { tmpdir } from 'node:os'
import { listTables } from '../../shared/control/lakehouse.ts'
import { maintainTables } from '../../shared/control/maintain.ts'
import { type Engine, openEngine } from '../../shared/load/engine.ts'
import { readEnv } from '../../shared/runtime/env.ts'
import { lakehousePorts } from '../lakehouse-ports.ts'
import { logger, metrics, observed } from '../observed.ts'
import { Env } from './env.ts'

/** Time for the table that is at work when the deadline comes. */
const LAST_TABLE_MS = 5 * 60_000
const ABORT_MS = 10_000
/** What DuckDB may hold; the function has twice as much. */
const ENGINE_MB = 800

/** Joins the small files of pushed tables and deletes what no version needs any more; what is not reached is for the next hour. */
export const handler = observed(async (_event: unknown, context) => {
  const leftMs = context.getRemainingTimeInMillis()
  const env = readEnv(Env, process.env)
  const ports = lakehousePorts(env)
  let engine: Promise<Engine> | undefined
  const open = () => {
    engine ??= openEngine({ scratch: tmpdir(), memoryMb: ENGINE_MB })
    return engine
  }
  let failed = 0
  try {
    const done = maintainTables(
      await listTables(ports.storage, env.CATALOG),
      { ...ports, engine: open, signal: AbortSignal.timeout(leftMs - ABORT_MS) },
      { deadlineMs: ports.clock.now() + leftMs - Math.min(LAST_TABLE_MS, leftMs / 2) },
    )
    for await (const { error, ...table } of done) {
      if (error) {
        failed += 1
        logger.error('a table could not be maintained', { table: table.table, error })
      } else logger.info('maintained', { ...table })
      metrics.addMetric('FilesJoined', 'Count', table.filesJoined)
      metrics.addMetric('FilesDeleted', 'Count', table.filesDeleted)
    }
  } finally {
    ;(await engine?.catch(() => undefined))?.close()
  }
  metrics.addMetric('TablesNotMaintained', 'Count', failed)
  return { failed }
})
