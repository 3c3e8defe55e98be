import type { BatchOptions, BatchWriter } from '../columnar/batch-writer.ts'
import { createBatchWriter } from '../columnar/parquet-writer.ts'
import type { Block, Change, Row } from '../core/change.ts'
import type { LogicalType } from '../schema/types.ts'
import { ABSENT } from './changes.ts'
import type { Guard, Landing } from './landing.ts'
import { splitRecords } from './split-records.ts'
import type { RejectedRow, Stage } from './stage.ts'

interface GuardOptions {
  batch?: BatchOptions
  onRejected: (rows: readonly RejectedRow[]) => void
}

/**
 * A stage that keeps what its table does not take away from it: rows with such a value are set aside, or the value is
 * dropped, as the landing's guards say. Values that change nothing cost nothing: without guards the stage is as it was.
 */
export function guardRows(stage: Stage, landing: Landing, options: GuardOptions): Stage {
  const renames = Object.keys(landing.homes).length > 0
  if (landing.guards.length === 0 && !renames) return stage
  const guards = new Guards(landing, options)
  return {
    get counts() {
      return { ...stage.counts, rejected: stage.counts.rejected + guards.rejected }
    },
    async write(message) {
      if (message.op === 'block') {
        for (const block of guards.block(message)) await stage.write(block)
        return
      }
      const change = guards.change(message)
      if (change) await stage.write(change)
    },
    async flush() {
      for (const block of guards.rest()) await stage.write(block)
      return stage.flush()
    },
    abort: () => stage.abort(),
  }
}

class Guards {
  readonly #landing: Landing
  readonly #options: GuardOptions
  /** Guards of values that may fit, each with the kernel's own judgement of them. */
  readonly #probes = new Map<Guard, Probe>()
  /** Positions in a record of the columns that the table lacks. */
  readonly #dropped: ReadonlySet<number>
  /** The start of a record whose end is in the next block. */
  #tail: { format: Block['format']; bytes: Uint8Array } | undefined
  #seen = 0
  rejected = 0

  constructor(landing: Landing, options: GuardOptions) {
    this.#landing = landing
    this.#options = options
    this.#dropped = new Set(
      landing.guards.filter(({ type }) => !type).map(({ column }) => landing.columns.indexOf(column)),
    )
    for (const guard of landing.guards) if (guard.type) this.#probes.set(guard, new Probe(guard.type, options.batch))
  }

  change(change: Change): Change | undefined {
    if (change.op === 'delete') return change
    const record = this.#seen++
    const row = { ...change.row }
    for (const guard of this.#landing.guards) {
      const value = row[guard.column]
      if (value === null || value === undefined) continue
      if (guard.type ? this.#probes.get(guard)!.fits(value) : false) continue
      if (guard.action === 'discard_row') {
        this.#setAside(
          guard,
          { record, form: 'rows' },
          change.absent ? { ...change.row, [ABSENT]: change.absent } : change.row,
        )
        return undefined
      }
      if (guard.type) row[guard.column] = null
      else delete row[guard.column]
    }
    const absent = change.absent?.flatMap((name) => this.#landing.homes[name] ?? [name])
    return { op: 'upsert', row, ...(absent && { absent }) }
  }

  /** The block's whole records as the table takes them. */
  *block({ format, bytes }: Block): Iterable<Block> {
    if (this.#landing.guards.length === 0) {
      yield { op: 'block', format, bytes }
      return
    }
    if (this.#tail && this.#tail.format !== format) yield* this.rest()
    const whole = this.#tail ? Buffer.concat([this.#tail.bytes, bytes]) : bytes
    const { records, end } = splitRecords(format, whole, this.#options.batch?.csv)
    this.#tail = end < whole.length ? { format, bytes: whole.slice(end) } : undefined
    yield* this.#records(format, records)
  }

  /** The record at the end, which has no line feed behind it. */
  *rest(): Iterable<Block> {
    const tail = this.#tail
    this.#tail = undefined
    if (!tail) return
    const { records } = splitRecords(tail.format, Buffer.concat([tail.bytes, LINE_FEED]), this.#options.batch?.csv)
    yield* this.#records(tail.format, records)
  }

  *#records(format: Block['format'], records: readonly (readonly Uint8Array[])[]): Iterable<Block> {
    const kept: Uint8Array[] = []
    for (const fields of records) {
      const record = this.#seen++
      const guarded = format === 'ndjson' ? this.#json(fields[0]!, record) : this.#fields(format, fields, record)
      if (guarded) kept.push(...guarded, LINE_FEED)
    }
    if (kept.length > 0) yield { op: 'block', format, bytes: Buffer.concat(kept) }
  }

  /** Of a record with a place for each column: the pieces of the record without the columns that the table lacks. */
  #fields(format: 'copy' | 'csv', fields: readonly Uint8Array[], record: number): Uint8Array[] | undefined {
    const delimiter = Buffer.from(format === 'copy' ? '\t' : (this.#options.batch?.csv?.delimiter ?? ','))
    const nothing = Buffer.from(format === 'copy' ? '\\N' : (this.#options.batch?.csv?.nullText ?? ''))
    const values = [...fields]
    for (const guard of this.#landing.guards) {
      const at = this.#landing.columns.indexOf(guard.column)
      const value = values[at]
      // A record of another number of columns is the batch writer's to refuse.
      if (value === undefined || nothing.equals(value)) continue
      if (guard.type && this.#probes.get(guard)!.fitsText(format, value, delimiter, nothing)) continue
      if (guard.action === 'discard_row') {
        this.#setAside(guard, { record, form: format, columns: this.#landing.columns }, join(fields, delimiter))
        return undefined
      }
      values[at] = nothing
    }
    return join(
      values.filter((_, at) => !this.#dropped.has(at)),
      delimiter,
    )
  }

  /** A JSON record is left as it is: columns that the schema lacks are passed over, and a last null wins. */
  #json(bytes: Uint8Array, record: number): Uint8Array[] | undefined {
    let row: Row
    try {
      row = JSON.parse(Buffer.from(bytes).toString()) as Row
    } catch {
      return [bytes]
    }
    if (typeof row !== 'object' || row === null || Array.isArray(row)) return [bytes]
    let text: string | undefined
    for (const guard of this.#landing.guards) {
      if (row[guard.column] === null || row[guard.column] === undefined) continue
      if (guard.type && this.#probes.get(guard)!.fitsJson(guard.column, bytes)) continue
      if (guard.action === 'discard_row') {
        this.#setAside(guard, { record, form: 'ndjson' }, [bytes])
        return undefined
      }
      if (guard.type) {
        text ??= Buffer.from(bytes).toString().trimEnd().slice(0, -1)
        text += `,${JSON.stringify(guard.column)}:null`
      }
    }
    return text === undefined ? [bytes] : [Buffer.from(`${text}}`)]
  }

  #setAside(
    { column }: Guard,
    { record, ...shape }: { record: number } & Pick<RejectedRow, 'form' | 'columns'>,
    row: Row | readonly Uint8Array[],
  ): void {
    this.rejected += 1
    const rejection = { record, column, code: 'unknown_field', got: 'a value', wanted: 'no such column' } as const
    const payload = Array.isArray(row) ? Buffer.concat(row as Uint8Array[]) : (row as Row)
    this.#options.onRejected([{ rejection, payload, ...shape }])
  }
}

const LINE_FEED = Buffer.from('\n')

const join = (fields: readonly Uint8Array[], delimiter: Uint8Array): Uint8Array[] =>
  fields.flatMap((field, at) => (at === 0 ? [field] : [delimiter, field]))

/** Asks the kernel whether one value fits a type: one judgement here and in the file. */
class Probe {
  readonly #type: LogicalType
  readonly #batch: BatchOptions
  readonly #writers = new Map<string, BatchWriter>()

  constructor(type: LogicalType, batch: BatchOptions = {}) {
    this.#type = type
    this.#batch = { ...batch, ...(batch.csv && { csv: { ...batch.csv, header: false } }) }
  }

  fits(value: unknown): boolean {
    return this.#asked('rows', 'v', (writer) => writer.appendRows([{ v: value }]))
  }

  /** A second column behind it, so that an empty value is not an empty line. */
  fitsText(format: 'copy' | 'csv', value: Uint8Array, delimiter: Uint8Array, nothing: Uint8Array): boolean {
    const line = Buffer.concat([value, delimiter, nothing, LINE_FEED])
    return this.#asked(format, 'v', (writer) => {
      if (format === 'copy') writer.appendCopy(line)
      else writer.appendCsv(line)
    })
  }

  fitsJson(column: string, record: Uint8Array): boolean {
    return this.#asked('ndjson', column, (writer) => writer.append(Buffer.concat([record, LINE_FEED])))
  }

  #asked(format: string, name: string, ask: (writer: BatchWriter) => void): boolean {
    let writer = this.#writers.get(format)
    if (!writer) {
      const fields = [
        { name, type: this.#type, nullable: true },
        ...(format === 'copy' || format === 'csv'
          ? [{ name: 'w', type: { kind: 'string' } as const, nullable: true }]
          : []),
      ]
      writer = createBatchWriter({ fields }, this.#batch)
      this.#writers.set(format, writer)
    }
    ask(writer)
    writer.take()
    return writer.takeRejected().length === 0
  }
}
