import type { ChangeStream } from '../connector/connector.ts'
import { IngestError } from '../core/errors.ts'
import type { Json } from '../core/json.ts'
import { addFile } from '../delta/stats.ts'
import type { TableChange, TableSnapshot } from '../delta/table.ts'
import type { StagedFile as StagedChanges } from '../load/changes.ts'
import { merge } from '../load/merge.ts'
import type { Stage, StagedFile } from '../load/stage.ts'
import { saveWriter } from '../state/writers.ts'
import { followSchema } from './follow-schema.ts'
import {
  commitStream,
  mergeSpec,
  mergesByKey,
  overdue,
  quarantine,
  type StreamRun,
  setAside,
  stageFor,
} from './stream-run.ts'

/**
 * Reads changes after the stored cursor until the source has no more, and commits them at checkpoints. `more`: the
 * deadline came first.
 */
export async function followChanges(run: StreamRun, stream: ChangeStream): Promise<'done' | 'more'> {
  const { task, ports } = run
  const start = run.writer.current.state!.cursor
  // The source says first whether it can go on from here; where it cannot, a copy settles the columns as well.
  const messages = await begun(stream.changes(start))
  const stage = await stageOfChanges(run).catch(async (error: unknown) => {
    // A source that is not read on would hold its place in the log.
    await messages[Symbol.asyncIterator]().return?.()
    throw error
  })
  if (!stage) {
    await messages[Symbol.asyncIterator]().return?.()
    return 'more'
  }
  const { commitBytes, commitIntervalMs } = task.settings
  let committedAtMs = ports.clock.now()
  let [rows, bytes, committedBytes] = [0, 0, 0]
  /** The newest checkpoint, and whether messages came after it. */
  let reached: Json = start
  let open = false
  const count = () => {
    const { counts } = stage
    run.reading.add(counts.rows - rows, counts.bytes - bytes, 'changes')
    ;[rows, bytes] = [counts.rows, counts.bytes]
  }
  const commitHere = async () => {
    await commitChanges(run, stream, stage, reached)
    count()
    committedBytes = bytes
    committedAtMs = ports.clock.now()
  }

  try {
    for await (const message of messages) {
      task.signal.throwIfAborted()
      if (message.op !== 'checkpoint') {
        open = true
        await stage.write(message)
        count()
        continue
      }
      reached = message.cursor
      open = false
      const due = bytes - committedBytes >= commitBytes || ports.clock.now() - committedAtMs >= commitIntervalMs
      if (due || overdue(run)) await commitHere()
      if (overdue(run)) return 'more'
    }
    task.signal.throwIfAborted()
    // Rows that no checkpoint vouches for are staged with the others. They cannot be told apart, so they all come again.
    if (open) throw noCheckpoint(stream)
    await commitHere()
    return 'done'
  } finally {
    await stage.abort()
  }
}

async function stageOfChanges(run: StreamRun): Promise<Stage | undefined> {
  const landing = await followSchema(run)
  if (!landing) return undefined
  const { root } = await run.log.read()
  const holds = mergesByKey(run.task) ? 'changes' : 'rows'
  return stageFor(run, { folder: holds === 'changes' ? `${root}/${STAGED}` : root, landing, holds })
}

/** The messages, once the first of them is there. */
async function begun<T>(messages: AsyncIterable<T>): Promise<AsyncIterable<T>> {
  const iterator = messages[Symbol.asyncIterator]()
  let first: IteratorResult<T> | undefined = await iterator.next()
  return {
    [Symbol.asyncIterator]: () => ({
      next: async () => {
        const result = first ?? (await iterator.next())
        first = undefined
        return result
      },
      return: async (value) => (await iterator.return?.(value)) ?? { done: true, value },
    }),
  }
}

/** Staged changes wait here, in the table's folder and out of its readers' sight. */
export const STAGED = '_lakeflow/staged'

/** Everything staged so far, and the cursor it leads to, as one commit. A cursor alone moves without one. */
async function commitChanges(run: StreamRun, stream: ChangeStream, stage: Stage, cursor: Json): Promise<void> {
  const { task, ports, writer } = run
  const files = await stage.flush()
  const state = writer.current.state!
  const next = { ...state, cursor }
  if (files.length > 0 || writer.current.pending.length > 0) {
    const rows = files.reduce((sum, file) => sum + file.rows, 0)
    await commitStream(run, next, rows, mergesByKey(task) ? (table) => merged(run, table, files) : appended(run, files))
    // Merged changes are in the table's own files now. What a crash leaves here is vacuum's.
    if (mergesByKey(task)) await ports.storage.delete(files.map((file) => file.path))
  } else if (JSON.stringify(cursor) !== JSON.stringify(state.cursor)) {
    await quarantine(run)
    await saveWriter(writer, { ...writer.current, state: next })
    run.tally.progress += 1
  }
  await stream.acknowledge?.(cursor)
}

const appended =
  ({ ports }: StreamRun, files: readonly StagedFile[]) =>
  async (table: TableSnapshot): Promise<TableChange> => ({
    operation: 'WRITE',
    operationParameters: { mode: 'Append', partitionBy: [] },
    add: files.map((file) =>
      addFile(file.name, file, table.schema, table.metadata, { modificationTimeMs: ports.clock.now() }),
    ),
    reads: 'nothing',
  })

/** Staged changes laid on a table, and what could not be laid set aside. */
export async function merged(
  run: StreamRun,
  table: TableSnapshot,
  files: readonly StagedChanges[],
): Promise<TableChange> {
  const { ports, task } = run
  const { change, rejected } = await merge(table, files, mergeSpec(task), { ...ports, engine: await ports.engine() })
  setAside(run, rejected)
  await quarantine(run)
  return change
}

export function noCheckpoint(stream: ChangeStream): IngestError {
  return new IngestError('source.protocol_violation', `the changes of ${stream.name} ended with rows and no checkpoint`)
}
