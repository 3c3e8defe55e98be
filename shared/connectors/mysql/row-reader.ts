import { matches } from '../../connector/match.ts'
import { type Message, type Row, remove } from '../../core/change.ts'
import { IngestError } from '../../core/errors.ts'
import type { Json } from '../../core/json.ts'
import type { LogicalType } from '../../schema/types.ts'
import { dataTypeOf } from './column-type.ts'
import type { RowsEvent, TableMap } from './log-events.ts'
import { type Decode, decoderOf, type Reader } from './log-values.ts'
import { fits, loggedTypes } from './logged-types.ts'
import type { Shape } from './shape.ts'
import type { Source } from './source.ts'

export type RowChange = Extract<Message<Json>, { op: 'upsert' | 'delete' }>

/** Turns rows of the log into changes, for one table map and the columns as they were there. */
export class RowReader {
  readonly #source: Source
  readonly #columns: number
  /** By column: how its value is read, and under which name it is kept; for whole rows, and for keys. */
  readonly #whole: Plan
  readonly #keys: Plan
  readonly #absent: readonly string[]
  readonly #types: ReadonlyMap<string, LogicalType>
  /** Reused for every value. */
  readonly #reader: Reader = { bytes: Buffer.alloc(0), at: 0 }

  /** @throws IngestError `source.rewritten` (resync) when the log's columns are not the ones expected */
  constructor(map: TableMap, shape: Shape, source: Source) {
    const types = loggedTypes(map.types, map.meta)
    const known =
      types.length === shape.length &&
      shape.every(({ type }, index) => type === '' || fits(dataTypeOf(type), types[index]!))
    if (!known)
      throw new IngestError(
        'source.rewritten',
        `${source.name} has other columns in the log than were expected there: it is copied again`,
      )
    const { selection } = source
    // A filter may look at columns that are not selected.
    const wanted = new Set(selection.filter ? source.columns.keys() : [...selection.columns, ...selection.key])
    const vague = shape.find(({ name, type }) => type === '' && wanted.has(name))
    if (vague)
      throw new IngestError(
        'source.rewritten',
        `${source.name} had its column ${vague.name} altered before it was selected: it is copied again`,
      )
    const key = new Set(source.key.map(({ name }) => name))
    const plan = (names: ReadonlySet<string>): Plan =>
      shape.map((column, index) => {
        const kept = names.has(column.name)
        return { name: kept ? column.name : undefined, decode: decoderOf(types[index]!, kept ? column : undefined) }
      })
    this.#source = source
    this.#columns = types.length
    this.#whole = plan(wanted)
    this.#keys = plan(key)
    this.#absent = [...wanted].filter((name) => !shape.some((column) => column.name === name))
    this.#types = new Map([...source.columns.values()].map(({ name, type }) => [name, type]))
  }

  /** @throws IngestError `config.invalid` (fix) when the log holds parts of rows only */
  *changes(event: RowsEvent): Generator<RowChange, void, undefined> {
    if (!event.whole || event.columns !== this.#columns)
      throw new IngestError(
        'config.invalid',
        `the log holds parts of the rows of ${this.#source.name} only: set global binlog_row_image = 'FULL', and the same for every session that writes, then run a full refresh`,
      )
    const { filter } = this.#source.selection
    const reader = this.#reader
    reader.bytes = event.bytes
    reader.at = event.at
    while (reader.at < event.bytes.length) {
      if (event.kind === 'delete') {
        yield remove(this.#read(this.#keys))
        continue
      }
      const old = event.kind === 'update' ? this.#read(this.#keys) : undefined
      const values = this.#read(this.#whole)
      for (const name of this.#absent) values[name] = null
      if (old && this.#source.key.some(({ name }) => !same(old[name], values[name]))) yield remove(old)
      if (filter && !matches(filter, values, this.#types)) yield remove(this.#keyOf(values))
      else yield { op: 'upsert', row: values }
    }
  }

  /** One image of a row: a bit for each column that is NULL, then the values of the others. */
  #read(plan: Plan): Row {
    const reader = this.#reader
    const { bytes } = reader
    const nulls = reader.at
    reader.at += (this.#columns + 7) >> 3
    const row: Row = {}
    for (let column = 0; column < plan.length; column++) {
      const { name, decode } = plan[column]!
      if ((bytes[nulls + (column >> 3)]! >> (column & 7)) & 1) {
        if (name !== undefined) row[name] = null
      } else if (name === undefined) decode(reader)
      else row[name] = decode(reader)
    }
    return row
  }

  #keyOf(values: Row): Row {
    return Object.fromEntries(this.#source.key.map(({ name }) => [name, values[name]]))
  }
}

type Plan = readonly { name: string | undefined; decode: Decode }[]

function same(a: unknown, b: unknown): boolean {
  return Buffer.isBuffer(a) && Buffer.isBuffer(b) ? a.equals(b) : a === b
}
