import { createHash } from 'node:crypto'
import type { Message } from '../core/change.ts'
import { IngestError } from '../core/errors.ts'
import type { Json } from '../core/json.ts'
import type { AddFile, Metadata, Protocol } from '../delta/actions.ts'
import { locate } from '../delta/file-path.ts'
import { addFile } from '../delta/stats.ts'
import type { TableChange, TableSnapshot } from '../delta/table.ts'
import { type Landing, plainLanding } from '../load/landing.ts'
import { EPOCH } from '../load/sidecar.ts'
import { fieldsOf, replacedColumns, withoutSchema } from '../load/target.ts'
import {
  beginLoad,
  forgetLoad,
  type Load,
  type Piece,
  readLoad,
  readPieces,
  readStaged,
  savePiece,
} from '../state/streams.ts'
import { driftOf, followSchema, schemaOfCopy } from './follow-schema.ts'
import { historyChange, requireMostRows, tableSchema } from './load-history.ts'
import {
  commitStream,
  keepsHistory,
  mergesByKey,
  overdue,
  quarantine,
  readingOf,
  type StreamRun,
  stageFor,
} from './stream-run.ts'
import { keyIsUnproven, requireUniqueKey } from './unique-key.ts'

/** What a load's files are written with, kept with it so that every piece and the swap agree. */
interface Plan {
  landing: Landing
  /** The table's new columns, where it gets other ones. */
  metadata?: Metadata
  protocol?: Protocol
}

/** A copy older than this begins anew: the source may have forgotten its cutoff, and vacuum its files. */
const MAX_AGE_MS = 3 * 86_400_000

/**
 * Copies the whole stream beside the table and swaps it in with one commit: readers see the old rows until they see all
 * the new ones. Goes on with an interrupted copy of the same selection; pieces that were staged are not read again.
 * `done` is false when the deadline came first.
 */
export async function loadStream(run: StreamRun): Promise<{ done: boolean; startedAtMs: number }> {
  const { task, ports } = run
  const load = (await unfinished(run)) ?? (await begin(run))
  const plan = (load.plan as unknown as Plan | null) ?? { landing: await followSchema(run) }
  const pieces = await readPieces(ports.state, run.task, load)
  const waiting = pieces.filter((piece) => !piece.done)
  const workers = Array.from({ length: Math.min(task.settings.pieces, waiting.length) }, async () => {
    for (let piece = waiting.shift(); piece && !overdue(run); piece = waiting.shift())
      await copyPiece(run, load, plan, pieces, piece).catch((error: unknown) => {
        // The pieces that are being read are finished and saved; no more are begun.
        waiting.length = 0
        throw error
      })
  })
  await allSettled(workers)
  const done = pieces.every((piece) => piece.done)
  if (done) await swapIn(run, load, plan, pieces)
  return { done, startedAtMs: load.startedAtMs }
}

/** The copy an earlier run left, when it can go on. What a settled one left is removed. */
async function unfinished(run: StreamRun): Promise<Load | undefined> {
  const { task, ports, writer } = run
  const load = await readLoad(ports.state, task)
  if (!load) return undefined
  const fresh = ports.clock.now() - load.startedAtMs < MAX_AGE_MS
  if (load.id !== writer.current.state?.loadId && load.fingerprint === fingerprintOf(run) && fresh) return load
  await forgetLoad(ports.state, task)
  return undefined
}

async function begin(run: StreamRun): Promise<Load> {
  const { task, ports, stream } = run
  const plan = await planColumns(run)
  const cutoff = stream.kind === 'changes' ? await stream.head() : null
  const pieces = stream.kind === 'changes' ? await stream.split(cutoff) : await stream.split()
  return await beginLoad(
    ports.state,
    task,
    {
      id: ports.random.uuid(),
      cutoff,
      fingerprint: fingerprintOf(run),
      startedAtMs: ports.clock.now(),
      plan: (plan ?? null) as unknown as Json,
    },
    pieces,
  )
}

/**
 * The columns the table gets: exactly the stream's by a full refresh that was asked for, else the ones its policy allows.
 * Undefined for a history that goes on: it outlives a copy wherever its columns do, and follows them before it.
 */
async function planColumns(run: StreamRun): Promise<Plan | undefined> {
  const { task, ports, stream, log } = run
  const table = await log.read()
  if (keepsHistory(task)) {
    if (!driftOf(run, table).unfollowed) return undefined
  } else if (!task.fullRefresh || task.resync) {
    const { landing, evolution } = schemaOfCopy(run, table)
    return { landing, ...(evolution && withoutSchema(evolution)) }
  }
  const evolution = replacedColumns(table, tableSchema(task, stream.schema), ports.random)
  const landing = plainLanding(fieldsOf(evolution ?? table, stream.schema))
  return { landing, ...(evolution && withoutSchema(evolution)) }
}

function fingerprintOf({ task, stream }: StreamRun): string {
  const { source, columns, key, mode, filter, scdType, schemaDrift = null } = task.table
  const selected = [source.schema, source.name, columns, key, mode, filter ?? null, scdType, stream.schema, schemaDrift]
  return createHash('sha256').update(JSON.stringify(selected)).digest('hex')
}

/** Reads what is left of a piece into files, and saves how far it is at its checkpoints. */
async function copyPiece(run: StreamRun, load: Load, plan: Plan, pieces: readonly Piece[], piece: Piece) {
  const { task, ports, stream, log } = run
  const { root } = await log.read()
  const stage = stageFor(run, { folder: root, landing: plan.landing, holds: 'rows' })
  const messages: AsyncIterable<Message<Json>> =
    stream.kind === 'changes' ? stream.backfill(piece.rest, load.cutoff) : stream.read(piece.rest)
  let savedAtMs = ports.clock.now()
  let [rows, bytes, savedRows, savedBytes, savedRejected] = [0, 0, 0, 0, 0]
  const count = () => {
    const { counts } = stage
    const done = pieces.filter((each) => each.done).length
    run.reading.add(counts.rows - rows, counts.bytes - bytes, 'full', { done, all: pieces.length })
    ;[rows, bytes] = [counts.rows, counts.bytes]
  }
  const save = async (rest: Json, done: boolean) => {
    const metadata = plan.metadata ?? (await log.read()).metadata
    const files = (await stage.flush()).map((file) => ({
      name: file.name,
      file: addFile(file.name, file, plan.landing.schema, metadata, {
        modificationTimeMs: ports.clock.now(),
      }) as unknown as Json,
    }))
    await quarantine(run)
    count()
    const rejected = stage.counts.rejected
    await savePiece(ports.state, task, load, piece, {
      rest,
      done,
      files,
      rows: rows - savedRows,
      rejected: rejected - savedRejected,
    })
    ;[savedRows, savedBytes, savedRejected] = [rows, bytes, rejected]
    savedAtMs = ports.clock.now()
    run.tally.progress += 1
  }

  try {
    for await (const message of messages) {
      task.signal.throwIfAborted()
      if (message.op !== 'checkpoint') {
        await stage.write(message)
        count()
        continue
      }
      const { commitBytes, commitIntervalMs } = task.settings
      const due = bytes - savedBytes >= commitBytes || ports.clock.now() - savedAtMs >= commitIntervalMs
      if (due || overdue(run)) await save(message.cursor, false)
      if (overdue(run)) return
    }
    // A source that stops at the abort signal ends as one that is finished does.
    task.signal.throwIfAborted()
    await save(null, true)
  } finally {
    await stage.abort()
  }
}

/** The one commit in which the old files go and the new ones come. */
async function swapIn(run: StreamRun, load: Load, plan: Plan, pieces: readonly Piece[]): Promise<void> {
  const { task, ports, log } = run
  const add = await readStaged<AddFile>(ports.state, task, load, pieces)
  const table = await log.read()
  const { root } = table
  await requireFiles(run, table, add)
  if (keyIsUnproven(task.table)) await requireUniqueKey(task.table, add, { root, schema: plan.landing.schema }, ports)
  const rows = pieces.reduce((sum, piece) => sum + piece.rows, 0)
  const next = { cursor: load.cutoff, reading: readingOf(task), loadId: load.id, loadedAtMs: ports.clock.now() }
  try {
    if (keepsHistory(task)) {
      await commitStream(run, next, rows, (snapshot) => historyChange(run, snapshot, add, plan))
      // The copied rows are in the history's own files now.
      await ports.storage.delete(add.map((file) => `${root}/${file.path}`))
    } else {
      requireMostRows(run, table, rows)
      await commitStream(run, next, rows, async (snapshot) => ({
        operation: 'WRITE',
        operationParameters: { mode: 'Overwrite', partitionBy: [] },
        remove: [...snapshot.files.values()],
        add,
        ...newMetadata(run, snapshot, plan, load),
        reads: 'table',
      }))
    }
  } catch (error) {
    // The next run reads the source again.
    if (error instanceof IngestError && error.code === 'source.shrunk') await forgetLoad(ports.state, task)
    throw error
  }
  await forgetLoad(ports.state, task)
}

/** New columns, and for a table that is merged into a new memory of deletes. */
function newMetadata(
  { task }: StreamRun,
  snapshot: TableSnapshot,
  plan: Plan,
  load: Load,
): Pick<TableChange, 'metadata' | 'protocol'> {
  const { configuration } = snapshot.metadata
  // What the table was told while it was copied holds too.
  const metadata = plan.metadata
    ? { ...plan.metadata, configuration: { ...configuration, ...plan.metadata.configuration } }
    : snapshot.metadata
  const protocol = plan.protocol ? { protocol: plan.protocol } : {}
  const remembers = mergesByKey(task) && snapshot.version > 0
  if (!remembers) return plan.metadata ? { metadata, ...protocol } : {}
  return { metadata: { ...metadata, configuration: { ...metadata.configuration, [EPOCH]: load.id } }, ...protocol }
}

/** A log must not name a file that is gone: vacuum with a short retention may have taken staged ones. */
async function requireFiles(run: StreamRun, table: TableSnapshot, files: readonly AddFile[]): Promise<void> {
  const { storage, state } = run.ports
  const there = new Set<string>()
  for await (const { path } of storage.list(`${table.root}/part-`)) there.add(path)
  const missing = files.find((file) => {
    const location = locate(file.path, table.root, storage.url)
    return 'storagePath' in location && !there.has(location.storagePath)
  })
  if (!missing) return
  await forgetLoad(state, run.task)
  throw new IngestError(
    'table.rewound',
    `the staged file ${missing.path} of ${table.root} was removed before it was committed; vacuum with a longer retention`,
  )
}

/** Waits for all, then fails with the first failure: nothing of a failed attempt goes on behind its back. */
async function allSettled(work: readonly Promise<void>[]): Promise<void> {
  const results = await Promise.allSettled(work)
  const failed = results.find((result) => result.status === 'rejected')
  if (failed) throw failed.reason
}
