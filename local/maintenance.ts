import { join } from 'node:path'
import { listTables } from '../shared/control/lakehouse.ts'
import { type Maintained, maintainTables } from '../shared/control/maintain.ts'
import type { Project } from '../shared/control/project.ts'
import { type Engine, openEngine } from '../shared/load/engine.ts'

const EVERY_MS = 10 * 60_000

/** Keeps the project's tables in shape until the signal aborts; `onDone` is told what was done, and of each table that failed. */
export async function runMaintenance(
  project: Project,
  signal: AbortSignal,
  onDone: (done: Maintained) => void,
): Promise<void> {
  while (!signal.aborted) {
    await project.clock.sleep(EVERY_MS, signal).catch(() => {})
    if (!signal.aborted) await maintainOnce(project, signal, onDone)
  }
}

async function maintainOnce(project: Project, signal: AbortSignal, onDone: (done: Maintained) => void): Promise<void> {
  let engine: Promise<Engine> | undefined
  const open = () => {
    engine ??= openEngine({ scratch: join(project.scratch, 'maintenance') })
    return engine
  }
  try {
    const tables = await listTables(project.storage)
    for await (const done of maintainTables(tables, { ...project, engine: open, signal })) onDone(done)
  } finally {
    // It holds memory that nothing needs for ten minutes.
    ;(await engine?.catch(() => undefined))?.close()
  }
}
