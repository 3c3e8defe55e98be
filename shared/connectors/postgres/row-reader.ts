import { matches } from '../../connector/match.ts'
import { type Message, type Row, remove } from '../../core/change.ts'
import { IngestError } from '../../core/errors.ts'
import { JsonText } from '../../core/json.ts'
import type { LogicalType } from '../../schema/types.ts'
import type { Decode } from './log-values.ts'
import type { LogRelation, TableMessage, Tuple } from './pgoutput.ts'
import { numbersOf, type Shape } from './shape.ts'
import type { Source } from './source.ts'

/** A change, or the key of a row that the source must be asked for: the log does not hold all of it. */
export type RowChange = Extract<Message<never>, { op: 'upsert' | 'delete' }> | { lookUp: Row }

/** Turns tuples of the log into changes, for the columns of one Relation message. */
export class RowReader {
  readonly #source: Source
  readonly #columns: { name: string; at: number; decode: Decode; selected: boolean }[]
  readonly #key: { name: string; at: number; decode: Decode }[]
  readonly #types: ReadonlyMap<string, LogicalType>
  /** All that is read is selected. */
  readonly #rowIsWhole: boolean

  /** @throws IngestError `source.rewritten` (resync) when a column has a name in the log that it had only in between */
  constructor(logged: LogRelation, source: Source, decoders: ReadonlyMap<string, Decode>, before: Shape) {
    const { attributes } = source.relation
    const numbers = numbersOf(before, attributes)
    const old = new Set(before.map(([number]) => number))
    const isStrange = logged.columns.some(({ name }) => !numbers.has(name))
    const column = (name: string) => {
      const { number } = attributes.find((attribute) => attribute.name === name)!
      const at = logged.columns.findIndex((each) => numbers.get(each.name) === number)
      if (at < 0 && isStrange && old.has(number))
        throw new IngestError(
          'source.rewritten',
          `the column ${name} of ${logged.schema}.${logged.name} was renamed more than once: it is copied again`,
        )
      return { name, at, decode: decoders.get(name)! }
    }
    this.#source = source
    const selected = new Set(source.selected.map(({ name }) => name))
    // A filter may look at columns that are not selected.
    const wanted = source.selection.filter
      ? [...source.columns.keys()]
      : new Set([...selected, ...source.key.map(({ name }) => name)])
    this.#columns = [...wanted].map((name) => ({ ...column(name), selected: selected.has(name) }))
    this.#rowIsWhole = this.#columns.every((each) => each.selected)
    const key = source.key.length > 0 ? source.key : source.selected
    this.#key = key.map(({ name }) => column(name))
    this.#types = new Map([...source.columns.values()].map(({ name, type }) => [name, type]))
  }

  changes(message: Extract<TableMessage, { kind: 'insert' | 'update' | 'delete' }>): RowChange[] {
    if (message.kind === 'delete') return [remove(this.#keyOf(message.old))]
    const update = message.kind === 'update' ? message : undefined
    const { values, absent, lacks } = this.#rowOf(message.row, update)
    const old = update?.old && this.#keyOf(update.old)
    const moved = old !== undefined && this.#key.some(({ name }) => !same(old[name], values[name]))
    const { filter } = this.#source.selection
    const changes: RowChange[] = moved ? [remove(old)] : []
    // Values that were not changed are not in the log. Where no row of ours holds them either, the source is asked.
    if (lacks && (moved || filter)) changes.push({ lookUp: this.#keyFrom(values) })
    else if (filter && !matches(filter, values, this.#types)) changes.push(remove(this.#keyFrom(values)))
    else {
      const row = this.#rowIsWhole ? values : this.#selectedFrom(values)
      changes.push(absent ? { op: 'upsert', row, absent } : { op: 'upsert', row })
    }
    return changes
  }

  /** `lacks`: a value that is looked at was not changed, and is not in the log; `absent` names the selected ones. */
  #rowOf(
    tuple: Tuple,
    update: { old?: Tuple; keyOnly: boolean } | undefined,
  ): { values: Row; lacks: boolean; absent?: string[] } {
    const values: Row = {}
    let absent: string[] | undefined
    let lacks = false
    for (const { name, at, decode, selected } of this.#columns) {
      let text = at < 0 ? undefined : tuple[at]
      if (text === undefined && update?.old && !update.keyOnly) text = update.old[at]
      if (text === undefined) {
        values[name] = null
        if (!update) continue
        lacks = true
        if (selected) {
          absent ??= []
          absent.push(name)
        }
      } else values[name] = text === null ? null : decode(text)
    }
    return absent ? { values, lacks, absent } : { values, lacks }
  }

  #keyFrom(values: Row): Row {
    return Object.fromEntries(this.#key.map(({ name }) => [name, values[name]]))
  }

  #selectedFrom(values: Row): Row {
    return Object.fromEntries(this.#source.selected.map(({ name }) => [name, values[name]]))
  }

  #keyOf(tuple: Tuple): Row {
    return Object.fromEntries(
      this.#key.map(({ name, at, decode }) => {
        const text = tuple[at]
        return [name, text === null || text === undefined ? null : decode(text)]
      }),
    )
  }
}

function same(a: unknown, b: unknown): boolean {
  if (a instanceof JsonText || b instanceof JsonText || typeof a === 'object' || typeof b === 'object')
    return JSON.stringify(a) === JSON.stringify(b)
  return a === b
}
