import type { ChangeStream } from '../connector/connector.ts'
import type { Message } from '../core/change.ts'
import { IngestError } from '../core/errors.ts'
import type { Json } from '../core/json.ts'
import { addFile } from '../delta/stats.ts'
import { beginLoad, forgetLoad, type Load, type Piece, readLoad, readPieces, savePiece } from '../state/streams.ts'
import { catchUp } from './catch-up.ts'
import { followSchema } from './follow-schema.ts'
import { fingerprintOf, planLoad, planOf, type Settled } from './load-plan.ts'
import { overdue, quarantine, type StreamRun, stageFor } from './stream-run.ts'
import { swapIn } from './swap-in.ts'

/** A copy older than this begins anew: the source may have forgotten its cutoff, and vacuum its files. */
const MAX_AGE_MS = 3 * 86_400_000

/**
 * Copies the whole stream beside the table, and then the changes since the copy began, and swaps both in with one commit:
 * readers see the old rows until they see all the new ones. Goes on with an interrupted copy of the same selection;
 * pieces that were staged are not read again. `done` is false when the deadline came first.
 */
export async function loadStream(run: StreamRun): Promise<{ done: boolean; startedAtMs: number }> {
  const { task, ports, stream, log } = run
  const load = (await unfinished(run)) ?? (await begin(run))
  run.load = load.id
  const kept = planOf(load)
  const landing = kept.landing ?? (await followSchema(run))
  if (!landing) return { done: false, startedAtMs: load.startedAtMs }
  const plan = { ...kept, landing }
  const all = await readPieces(ports.state, task, load)
  const [pieces, changes] = stream.kind === 'changes' ? [all.slice(0, -1), all.at(-1)] : [all]
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
  const copied = pieces.every((piece) => piece.done)
  if (copied && changes && !changes.done)
    await catchUp(run, stream as ChangeStream, await log.read(), load, plan, changes).catch(async (error: unknown) => {
      // The source cannot go on from this copy's cutoff, and a new copy has a new one.
      if (error instanceof IngestError && error.remedy === 'resync') await forgetLoad(ports.state, task)
      throw error
    })
  const done = all.every((piece) => piece.done)
  if (done) await swapIn(run, load, plan, { rows: pieces, ...(changes && { changes }) })
  delete run.load
  return { done, startedAtMs: load.startedAtMs }
}

/** The copy an earlier run left, when it can go on. What a settled one left is removed. */
async function unfinished(run: StreamRun): Promise<Load | undefined> {
  const { task, ports, writer } = run
  const load = await readLoad(ports.state, task)
  if (!load) return undefined
  const fresh = ports.clock.now() - load.startedAtMs < MAX_AGE_MS
  const same = load.fingerprint === fingerprintOf(run) && (planOf(load).refresh || !task.fullRefresh)
  if (load.id !== writer.current.state?.loadId && same && fresh) return load
  await forgetLoad(ports.state, task)
  return undefined
}

async function begin(run: StreamRun): Promise<Load> {
  const { task, ports, stream } = run
  const plan = await planLoad(run)
  const cutoff = stream.kind === 'changes' ? await stream.head() : null
  const pieces = stream.kind === 'changes' ? [...(await stream.split(cutoff)), cutoff] : await stream.split()
  return await beginLoad(
    ports.state,
    task,
    {
      id: ports.random.uuid(),
      cutoff,
      fingerprint: fingerprintOf(run),
      startedAtMs: ports.clock.now(),
      plan: plan as unknown as Json,
    },
    pieces,
  )
}

/** Reads what is left of a piece into files, and saves how far it is at its checkpoints. */
async function copyPiece(run: StreamRun, load: Load, plan: Settled, pieces: readonly Piece[], piece: Piece) {
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

/** Waits for all, then fails with the first failure: nothing of a failed attempt goes on behind its back. */
async function allSettled(work: readonly Promise<void>[]): Promise<void> {
  const results = await Promise.allSettled(work)
  const failed = results.find((result) => result.status === 'rejected')
  if (failed) throw failed.reason
}
