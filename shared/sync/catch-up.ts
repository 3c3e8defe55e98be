import type { ChangeStream } from '../connector/connector.ts'
import type { Json } from '../core/json.ts'
import { addFile } from '../delta/stats.ts'
import type { TableSnapshot } from '../delta/table.ts'
import { type Load, type Piece, savePiece } from '../state/streams.ts'
import { noCheckpoint, STAGED } from './follow-changes.ts'
import type { Settled } from './load-plan.ts'
import { copyMergesByKey, overdue, quarantine, type StreamRun, stageFor } from './stream-run.ts'

/**
 * Reads the changes since a copy began into files that wait beside the copied ones, for the commit that shows both. They
 * are the copy's last piece: what is left of it is the cursor to read on from, and an interrupted one goes on from there.
 * A deadline leaves the piece undone.
 */
export async function catchUp(
  run: StreamRun,
  stream: ChangeStream,
  table: TableSnapshot,
  load: Load,
  plan: Settled,
  piece: Piece,
): Promise<void> {
  const { task, ports } = run
  const merges = copyMergesByKey(task)
  const folder = merges ? `${table.root}/${STAGED}` : table.root
  const stage = stageFor(run, { folder, landing: plan.landing, holds: merges ? 'changes' : 'rows' })
  const { commitBytes, commitIntervalMs } = task.settings
  let savedAtMs = ports.clock.now()
  let [rows, bytes, savedRows, savedBytes, savedRejected] = [0, 0, 0, 0, 0]
  let reached = piece.rest
  let open = false
  const count = () => {
    const { counts } = stage
    run.reading.add(counts.rows - rows, counts.bytes - bytes, 'full')
    ;[rows, bytes] = [counts.rows, counts.bytes]
  }
  const save = async (done: boolean) => {
    const files = (await stage.flush()).map((file) => {
      const { name, path, sizeBytes } = file
      const metadata = plan.metadata ?? table.metadata
      const added = addFile(name, file, plan.landing.schema, metadata, { modificationTimeMs: ports.clock.now() })
      return { name, file: (merges ? { path, rows: file.rows, sizeBytes } : added) as unknown as Json }
    })
    await quarantine(run)
    count()
    const { rejected } = stage.counts
    const progress = { rest: reached, done, files, rows: rows - savedRows, rejected: rejected - savedRejected }
    await savePiece(ports.state, task, load, piece, progress)
    ;[savedRows, savedBytes, savedRejected] = [rows, bytes, rejected]
    savedAtMs = ports.clock.now()
    run.tally.progress += 1
  }

  try {
    for await (const message of stream.changes(reached, { upToNow: true })) {
      task.signal.throwIfAborted()
      open = message.op !== 'checkpoint'
      if (message.op !== 'checkpoint') {
        await stage.write(message)
        count()
        continue
      }
      reached = message.cursor
      const due = bytes - savedBytes >= commitBytes || ports.clock.now() - savedAtMs >= commitIntervalMs
      if (due || overdue(run)) await save(false)
      if (overdue(run)) return
    }
    task.signal.throwIfAborted()
    if (open) throw noCheckpoint(stream)
    await save(true)
  } finally {
    await stage.abort()
  }
}
