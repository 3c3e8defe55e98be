import type { BatchOptions, BatchWriter, FinishedFile, Rejection } from '../columnar/batch-writer.ts'
import { createBatchWriter } from '../columnar/parquet-writer.ts'
import type { Block, Change, Row } from '../core/change.ts'
import type { Random } from '../core/random.ts'
import type { Field, Schema } from '../schema/types.ts'
import type { Storage, StorageWriter } from '../storage/storage.ts'
import { ABSENT, changeSchema, DELETED } from './changes.ts'

export interface StageOptions {
  storage: Storage
  /** Where files go, without a trailing slash: the table's root, or a folder that readers pass over. */
  folder: string
  /** Columns as the files hold them; those of a block are in this order. */
  schema: Schema
  /** `rows`: files of the table, deletes are passed over and counted. `changes`: files to be merged (`changes.ts`). */
  holds: 'rows' | 'changes'
  batch?: BatchOptions
  /** A file is closed and the next one begun at about this size. Default 128 MiB. */
  targetBytes?: number
  random: Random
  /** Rows that do not fit the columns, as they are found. May throw, to stop. */
  onRejected: (rows: readonly RejectedRow[]) => void
}

/** A row that was left out, with what was given, for the quarantine. */
export interface RejectedRow {
  rejection: Rejection
  /** The row as it came: its bytes in the block's format, or its values. Undefined when it is no longer in memory. */
  payload?: Uint8Array | Row
  form: 'rows' | Block['format']
  /** The columns of a payload that has no names in it, in its order. */
  columns?: readonly string[]
}

/** Durable, complete and in no log: invisible until a commit names it. */
export interface StagedFile extends FinishedFile {
  /** In storage. */
  path: string
  /** Under the folder. */
  name: string
}

export interface StageCounts {
  /** Rows taken, without the rejected. */
  rows: number
  /** Bytes of the source for blocks, of the columns for rows: a measure of work. */
  bytes: number
  rejected: number
  /** Deletes that files of rows cannot hold. */
  ignoredDeletes: number
}

/** Changes on their way into files. Memory holds at most one row group of one file. */
export interface Stage {
  write(message: Change | Block): Promise<void>
  readonly counts: Readonly<StageCounts>
  /** Closes the open file and hands over every file finished since the last call, in order. */
  flush(): Promise<StagedFile[]>
  /** Gives up what was not handed over. Finished files stay, as orphans for vacuum. Never throws. */
  abort(): Promise<void>
}

const TARGET_BYTES = 128 << 20
const ROWS_AT_ONCE = 1_000
/** Formats whose rows end with a line feed and hold none. */
const LINES: ReadonlySet<string> = new Set(['copy', 'ndjson'])

type Format = Block['format'] | 'rows'

export function openStage(options: StageOptions): Stage {
  const { holds, targetBytes = TARGET_BYTES } = options
  const counts: StageCounts = { rows: 0, bytes: 0, rejected: 0, ignoredDeletes: 0 }
  const schemas: Record<'rows' | 'blocks', Schema> = {
    rows: holds === 'changes' ? changeSchema(options.schema) : options.schema,
    blocks: holds === 'changes' ? { fields: options.schema.fields.map(nullable) } : options.schema,
  }
  let open: OpenFile | undefined
  let finished: StagedFile[] = []
  let waiting: Row[] = []

  async function fileFor(format: Format): Promise<OpenFile> {
    // A batch writer takes one format only. Closing at a change of format also keeps the order of changes.
    if (open && open.format !== format) await close()
    open ??= new OpenFile(format, schemas[format === 'rows' ? 'rows' : 'blocks'], options)
    return open
  }

  async function writeBlock({ format, bytes }: Block): Promise<void> {
    await writeRows()
    counts.bytes += bytes.length
    let file = await fileFor(format)
    let rest = bytes
    if (file.sizeBytes >= targetBytes && LINES.has(format)) {
      const lineEnd = rest.indexOf(10) + 1
      if (lineEnd > 0) {
        await file.append(rest.subarray(0, lineEnd))
        await close()
        rest = rest.subarray(lineEnd)
        file = await fileFor(format)
      }
    }
    if (rest.length > 0) await file.append(rest)
  }

  async function writeRows(): Promise<void> {
    if (waiting.length === 0) return
    const rows = waiting
    waiting = []
    const file = await fileFor('rows')
    counts.bytes += await file.appendRows(rows)
    if (file.sizeBytes >= targetBytes) await close()
  }

  async function close(): Promise<void> {
    const file = open
    open = undefined
    const done = await file?.finish()
    if (!done) return
    counts.rows += done.rows
    counts.rejected += done.rejected
    if (done.name) finished.push(done)
  }

  return {
    get counts() {
      return {
        ...counts,
        rows: counts.rows + (open?.rows ?? 0) + waiting.length,
        rejected: counts.rejected + (open?.rejected ?? 0),
      }
    },
    async write(message) {
      if (message.op === 'block') return await writeBlock(message)
      const row = holds === 'changes' ? changeRow(message) : message.op === 'upsert' ? message.row : undefined
      if (!row) counts.ignoredDeletes++
      else if (waiting.push(row) >= ROWS_AT_ONCE) await writeRows()
    },
    async flush() {
      await writeRows()
      await close()
      const files = finished
      finished = []
      return files
    },
    async abort() {
      const file = open
      open = undefined
      waiting = []
      finished = []
      await file?.abort()
    },
  }
}

const nullable = (field: Field): Field => ({ ...field, nullable: true })

function changeRow(change: Change): Row {
  if (change.op === 'delete') return { ...change.key, [DELETED]: true }
  return change.absent?.length ? { ...change.row, [ABSENT]: [...change.absent] } : change.row
}

/** One Parquet file being written. */
class OpenFile {
  readonly format: Format
  readonly #name: string
  readonly #options: StageOptions
  readonly #writer: BatchWriter
  #out: StorageWriter | undefined
  #written = 0
  #rejected = 0
  /** The last two chunks and where they begin: a row that is rejected may have begun in the one before. */
  #chunks: { start: number; bytes: Uint8Array }[] = []
  #given = 0
  /** Rows given by value, from record `#firstRow` on. */
  #rows: readonly Row[] = []
  #firstRow = 0

  constructor(format: Format, schema: Schema, options: StageOptions) {
    this.format = format
    this.#options = options
    this.#name = `part-${options.random.uuid()}.parquet`
    this.#writer = createBatchWriter(schema, options.batch)
  }

  get rows(): number {
    return this.#writer.rows
  }

  get rejected(): number {
    return this.#rejected
  }

  /** Bytes of the file so far, and of the row group that is still in memory. */
  get sizeBytes(): number {
    return this.#written + this.#writer.bufferedBytes
  }

  async append(bytes: Uint8Array): Promise<void> {
    this.#chunks = [...this.#chunks.slice(-1), { start: this.#given, bytes }]
    this.#given += bytes.length
    if (this.format === 'copy') this.#writer.appendCopy(bytes)
    else if (this.format === 'csv') this.#writer.appendCsv(bytes)
    else this.#writer.append(bytes)
    await this.#drain()
  }

  /** Returns how much the columns grew. */
  async appendRows(rows: readonly Row[]): Promise<number> {
    const before = this.sizeBytes
    this.#firstRow += this.#rows.length
    this.#rows = rows
    this.#writer.appendRows(rows)
    await this.#drain()
    return Math.max(0, this.sizeBytes - before)
  }

  /** A file without rows leaves nothing behind and has no name. */
  async finish(): Promise<StagedFile> {
    const file = this.#writer.finish()
    this.#reportRejected()
    if (file.rows === 0) {
      await this.abort()
      return { ...file, path: '', name: '' }
    }
    await this.#drain()
    await this.#out?.finish()
    return { ...file, path: this.#path, name: this.#name }
  }

  async abort(): Promise<void> {
    await this.#out?.abort().catch(() => {})
  }

  get #path(): string {
    return `${this.#options.folder}/${this.#name}`
  }

  async #drain(): Promise<void> {
    this.#reportRejected()
    for (const bytes of this.#writer.take()) {
      this.#out ??= this.#options.storage.writer(this.#path)
      this.#written += bytes.length
      await this.#out.write(bytes)
    }
  }

  #reportRejected(): void {
    const rejections = this.#writer.takeRejected()
    if (rejections.length === 0) return
    this.#rejected += rejections.length
    this.#options.onRejected(
      rejections.map((rejection) => {
        const payload = this.#payloadOf(rejection)
        const { format: form } = this
        const columns =
          form === 'copy' || form === 'csv' ? this.#options.schema.fields.map(({ name }) => name) : undefined
        return { rejection, form, ...(payload !== undefined && { payload }), ...(columns && { columns }) }
      }),
    )
  }

  #payloadOf({ record, start, end }: Rejection): Uint8Array | Row | undefined {
    if (start === undefined || end === undefined) return this.#rows[record - this.#firstRow]
    if (!this.#chunks[0] || start < this.#chunks[0].start) return undefined
    const pieces = this.#chunks
      .map(({ start: at, bytes }) => bytes.subarray(Math.max(0, start - at), Math.max(0, end - at)))
      .filter((bytes) => bytes.length > 0)
    return pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces)
  }
}
