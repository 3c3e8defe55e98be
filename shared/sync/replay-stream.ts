import type { Stream } from '../connector/connector.ts'
import { type Change, type Message, type Row, remove, upsert } from '../core/change.ts'
import { IngestError } from '../core/errors.ts'
import type { Json } from '../core/json.ts'
import { addFile } from '../delta/stats.ts'
import type { TableChange, TableSnapshot } from '../delta/table.ts'
import { ABSENT, DELETED } from '../load/changes.ts'
import { commitOnce, recover } from '../load/commit-once.ts'
import type { Landing } from '../load/landing.ts'
import { merge } from '../load/merge.ts'
import { type QuarantinedRow, readQuarantine, removeQuarantined } from '../load/read-quarantine.ts'
import { guardRows } from '../load/row-guard.ts'
import { splitRecords } from '../load/split-records.ts'
import { openStage, type StagedFile } from '../load/stage.ts'
import { readLoad, writerId, writerKey } from '../state/streams.ts'
import { takeWriter, type Writer } from '../state/writers.ts'
import { followSchema } from './follow-schema.ts'
import { openRun, type Runner, withLease } from './run-stream.ts'
import { mergesByKey, type StreamRun, type StreamTask, type SyncPorts } from './stream-run.ts'

/** What became of the rows in one table's quarantine. */
export interface Replayed {
  stream: string
  /** In the table now. */
  applied: number
  /** Older than the full copy that the table was made with: it has read them again. */
  superseded: number
  /** Still in quarantine, each with the reason it does not go. */
  left: readonly { id: string; reason: string }[]
}

/** What the commits of a replay add up to: the rows of the last one, until they are out of the quarantine. */
type ReplayState = { applied: string[] }

/** Rows of one commit: their ids are one entry of the state store. */
const BATCH = 2_000

/**
 * Lays the quarantined rows of a stream on its table, once what kept them out is mended. Exactly once: the commit has an
 * identity of its own (`.../replay`), and the rows leave the quarantine after it; a replay that died in between only takes
 * them out. Holds the stream's lease, so no run is at work meanwhile.
 *
 * An old row never takes the place of a newer one: the source is asked for the row of its key as it is now. Of a source
 * that cannot tell, the highest sequence wins (`sequence_by`, or the cursor columns). Rows that still do not fit stay.
 *
 * @throws IngestError as a run of the stream
 */
export async function replayStream(task: StreamTask, ports: SyncPorts, runner: Runner): Promise<Replayed> {
  return withLease(task, ports, runner, async (leased) => {
    const result = { stream: task.stream, applied: 0, superseded: 0, left: [] as { id: string; reason: string }[] }
    if ((await readQuarantine(task.table.destination, ports)).length === 0) return result
    const run = await openRun(leased, ports, runner)
    const state = run.writer.current.state
    const id = `${writerId(task)}/replay`
    const key = { ...writerKey(task), sort: `${writerKey(task).sort}/replay` }
    const writer = await takeWriter<ReplayState>(ports.state, key, id, runner.holder.owner)
    await recover(writer, run.log)
    // What an earlier replay laid on the table and did not live to take out.
    await removeQuarantined(task.table.destination, writer.current.state?.applied ?? [], ports)

    const rows = await readQuarantine(task.table.destination, ports)
    const copying = (await readLoad(ports.state, task))?.id
    const leave = (row: QuarantinedRow, reason: string) => result.left.push({ id: row.id, reason })
    const superseded = rows.filter(({ loadId }) => loadId !== state?.loadId && loadId !== copying)
    await removeQuarantined(
      task.table.destination,
      superseded.map(({ id }) => id),
      ports,
    )
    result.superseded = superseded.length
    for (const row of rows) if (row.loadId === copying && copying !== state?.loadId) leave(row, 'its full copy goes on')
    const current = rows.filter(({ loadId }) => loadId === state?.loadId)
    for (let at = 0; at < current.length; at += BATCH)
      result.applied += await replayRows(run, writer, current.slice(at, at + BATCH), leave)
    return result
  })
}

async function replayRows(
  run: StreamRun,
  writer: Writer<ReplayState>,
  rows: readonly QuarantinedRow[],
  leave: (row: QuarantinedRow, reason: string) => void,
): Promise<number> {
  const { task, ports, log, stream } = run
  if (stream.kind === 'snapshot') {
    for (const row of rows) leave(row, 'the source is read whole by each run, which takes it when it fits')
    return 0
  }
  const landing = await followSchema(run)
  if (!landing) {
    for (const row of rows) leave(row, 'the columns of its table are being widened, which the next run goes on with')
    return 0
  }
  const { root } = await log.read()
  const merges = mergesByKey(task)
  const why = new Map<string, string>()
  let at: QuarantinedRow | undefined
  const onRejected = (rejected: readonly { rejection: { column: string; code: string }; payload?: unknown }[]) => {
    for (const { rejection, payload } of rejected) {
      const id = isRow(payload) && typeof payload[ID] === 'string' ? payload[ID] : at!.id
      why.set(id, `${rejection.column || 'the row'} is ${rejection.code}`)
    }
  }
  const { batch, fileBytes: targetBytes } = task.settings
  const options = { batch, onRejected }
  const folder = merges ? `${root}/_lakeflow/staged` : root
  const stage = guardRows(
    openStage({
      ...options,
      folder,
      holds: merges ? 'changes' : 'rows',
      schema: landing.schema,
      storage: ports.storage,
      random: ports.random,
      targetBytes,
    }),
    landing,
    options,
  )
  try {
    const asks = merges && (stream.lookUp !== undefined || sequenceOf(run).length === 0)
    const read = asks ? lookedUp : asItCame
    const sequenceBy = asks ? task.table.sequenceBy : sequenceOf(run)
    for (const row of rows) {
      at = row
      const reason = await read(run, row, landing, (message) => stage.write(message))
      if (reason) why.set(row.id, reason)
    }
    const files = await stage.flush()
    for (const row of rows) if (why.has(row.id)) leave(row, why.get(row.id)!)
    const applied = rows.filter(({ id }) => !why.has(id)).map(({ id }) => id)
    if (applied.length === 0) return 0
    await commitOnce(writer, log, { next: { applied }, changeOf: (table) => changeOf(run, table, files, sequenceBy) })
    await removeQuarantined(task.table.destination, applied, ports)
    if (merges) await ports.storage.delete(files.map((file) => file.path))
    return applied.length
  } finally {
    await stage.abort()
  }
}

/** Marks a row on its way, so that it is known again when it is rejected; no column has this name. */
const ID = '__lakeflow_quarantine_id'

const isRow = (payload: unknown): payload is Row =>
  typeof payload === 'object' && payload !== null && !(payload instanceof Uint8Array)

type Write = (message: Exclude<Message<Json>, { op: 'checkpoint' }>) => Promise<void>

/** The row itself, in the columns that the stream has now. Returns why it cannot go. */
async function asItCame(
  run: StreamRun,
  row: QuarantinedRow,
  landing: Landing,
  write: Write,
): Promise<string | undefined> {
  if (mergesByKey(run.task)) {
    const isDelete = row.form === 'rows' && columnOf(row, DELETED) === 'true'
    const needed = isDelete ? run.task.table.key : [...run.task.table.key, ...sequenceOf(run)]
    const missing = needed.find((name) => columnOf(row, name) === undefined)
    if (missing !== undefined) return `it has no ${missing}`
  }
  if (row.form === 'rows') {
    await write(changeOfRow(JSON.parse(row.row) as Row, row.id))
  } else if (row.form === 'ndjson') {
    await write({ op: 'block', format: 'ndjson', bytes: Buffer.from(`${row.row}\n`) })
  } else {
    const fields = fieldsOf(row)
    const [delimiter, nothing] = row.form === 'copy' ? ['\t', '\\N'] : [',', '']
    const values = landing.columns.map((name) => {
      const field = fields[row.columns.indexOf(name)]
      return field === undefined ? nothing : Buffer.from(field).toString()
    })
    await write({ op: 'block', format: row.form, bytes: Buffer.from(`${values.join(delimiter)}\n`) })
  }
  return undefined
}

/** The row of its key as the source has it now, which is surely not too old. */
async function lookedUp(
  run: StreamRun,
  row: QuarantinedRow,
  _landing: Landing,
  write: Write,
): Promise<string | undefined> {
  const stream = run.stream as Extract<Stream, { kind: 'changes' }>
  const { key } = run.task.table
  if (!stream.lookUp)
    return 'nothing says whether it is newer than the row of its key; set sequence_by, or run a full refresh'
  const values = key.map((name) => columnOf(row, name))
  const missing = key.find((_, at) => values[at] === undefined)
  if (missing !== undefined) return `it has no ${missing}`
  const keyRow = Object.fromEntries(key.map((name, at) => [name, values[at]]))
  try {
    let found = false
    for await (const message of stream.lookUp(keyRow)) {
      if (message.op === 'checkpoint') continue
      found = true
      await write(message.op === 'upsert' ? { ...message, row: { ...message.row, [ID]: row.id } } : message)
    }
    if (!found) await write({ op: 'delete', key: { ...keyRow, [ID]: row.id } })
  } catch (error) {
    if (!(error instanceof IngestError) || error.remedy !== 'fix') throw error
    return `the source cannot look it up: ${error.message}`
  }
  return undefined
}

function changeOfRow(row: Row, id: string): Change {
  const { [DELETED]: deleted, [ABSENT]: absent, ...values } = row
  const marked = { ...values, [ID]: id }
  if (deleted === true) return remove(marked)
  return Array.isArray(absent) ? { op: 'upsert', row: marked, absent: absent as string[] } : upsert(marked)
}

/** The columns that tell which of two rows of a key is newer. */
function sequenceOf({ task }: StreamRun): readonly string[] {
  const { sequenceBy, cursorColumns, scdType } = task.table
  // The versions of a history without `sequence_by` are ordered by when they were laid on it.
  return sequenceBy.length > 0 || scdType === 'SCD_TYPE_2' ? sequenceBy : cursorColumns
}

/** A value of a quarantined row as text; undefined for null or no such column. */
function columnOf(row: QuarantinedRow, column: string): string | undefined {
  if (row.form === 'rows' || row.form === 'ndjson') {
    try {
      const value = (JSON.parse(row.row) as Row)[column]
      return value === null || value === undefined ? undefined : String(value)
    } catch {
      return undefined
    }
  }
  const field = fieldsOf(row)[row.columns.indexOf(column)]
  const text = field && Buffer.from(field).toString()
  if (text === undefined || text === (row.form === 'copy' ? '\\N' : '')) return undefined
  return row.form === 'copy' ? unescaped(text) : text.replace(/^"(.*)"$/s, '$1').replaceAll('""', '"')
}

const fieldsOf = (row: QuarantinedRow): readonly Uint8Array[] =>
  splitRecords(row.form as 'copy' | 'csv', Buffer.from(`${row.row}\n`)).records[0] ?? []

const escapes: Readonly<Record<string, string>> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v' }

/** PostgreSQL documentation, COPY, "Text Format". */
const unescaped = (text: string) => text.replaceAll(/\\(.)/gs, (_, sign: string) => escapes[sign] ?? sign)

async function changeOf(
  run: StreamRun,
  table: TableSnapshot,
  files: readonly StagedFile[],
  sequenceBy: readonly string[],
): Promise<TableChange> {
  const { ports, task, writer } = run
  if (!mergesByKey(task))
    return {
      operation: 'WRITE',
      operationParameters: { mode: 'Append', partitionBy: [] },
      add: files.map((file) =>
        addFile(file.name, file, table.schema, table.metadata, { modificationTimeMs: ports.clock.now() }),
      ),
      reads: 'nothing',
    }
  const mode = task.table.scdType === 'SCD_TYPE_2' ? 'SCD_TYPE_2' : 'SCD_TYPE_1'
  const spec = { mode, keys: task.table.key, sequenceBy } as const
  const { change, rejected } = await merge(table, files, spec, { ...ports, engine: await ports.engine() })
  // The source may have rows without a sequence.
  if (rejected.length > 0) await task.quarantine?.(rejected, { loadId: writer.current.state!.loadId, cursor: 'replay' })
  return change
}
