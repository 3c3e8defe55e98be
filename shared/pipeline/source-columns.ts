import type { SourceTable } from '../connector/connector.ts'
import { IngestError } from '../core/errors.ts'
import { didYouMean } from './nearest.ts'
import type { TableConfiguration } from './table-configuration.ts'

/** The columns of one source table, found by the names a user gave them: exactly, or else ignoring case. */
export class SourceColumns {
  /** `schema.table`, for messages. */
  readonly table: string
  readonly #names: readonly string[]
  readonly #unreadable: ReadonlyMap<string, string>

  constructor(source: SourceTable) {
    this.table = `${source.schema}.${source.name}`
    this.#unreadable = new Map(source.unreadable?.map(({ column, reason }) => [column, reason]))
    this.#names = source.columns.fields.map((field) => field.name).filter((name) => !this.#unreadable.has(name))
  }

  /**
   * The source's own spelling of a column.
   *
   * @throws IngestError `source.object_missing` (fix); `field` is where the name was given
   */
  find(name: string, field: string): string {
    const found = this.#match(name)
    if (found !== undefined) return found
    const reason = this.#unreadable.get(name)
    const why = reason ? `cannot be read: ${reason}` : `is not there${didYouMean(name, this.#names)}`
    throw new IngestError('source.object_missing', `column ${name} of ${this.table}, named in ${field}, ${why}`)
  }

  /** The columns a table keeps, in the source's order, with those the engine needs. */
  choose(configuration: TableConfiguration, needed: readonly string[], note: (text: string) => void): string[] {
    const { include_columns: include, exclude_columns: exclude } = configuration
    const required = new Set(needed)
    if (include) {
      const wanted = new Set(include.map((name) => this.find(name, 'include_columns')))
      const added = [...required].filter((name) => !wanted.has(name))
      if (added.length > 0) note(`also reads ${added.join(', ')}, which key, cursor and order need`)
      return this.#names.filter((name) => wanted.has(name) || required.has(name))
    }
    const left = new Set((exclude ?? []).map((name) => this.#excluded(name, required, note)))
    const unreadable = [...this.#unreadable].filter(([name]) => !exclude?.includes(name))
    for (const [name, reason] of unreadable) note(`column ${name} is left out: ${reason}`)
    return this.#names.filter((name) => !left.has(name))
  }

  /** A column that is gone is excluded already; one that is needed cannot be. */
  #excluded(name: string, required: ReadonlySet<string>, note: (text: string) => void): string | undefined {
    const found = this.#match(name)
    if (found === undefined) {
      if (!this.#unreadable.has(name)) note(`excluded column ${name} is not there${didYouMean(name, this.#names)}`)
    } else if (required.has(found)) {
      throw new IngestError(
        'config.invalid',
        `column ${found} of ${this.table} is a key, cursor or sequence column and cannot be excluded`,
      )
    }
    return found
  }

  #match(name: string): string | undefined {
    if (this.#names.includes(name)) return name
    const found = this.#names.filter((other) => other.toLowerCase() === name.toLowerCase())
    return found.length === 1 ? found[0] : undefined
  }
}
