import { IncompleteBody } from './errors.ts'

const [QUOTE, COMMA, LF, CR] = [34, 44, 10, 13]

/**
 * Cuts CSV (RFC 4180, comma, any line end) into chunks of whole records on their way into blocks, without parsing the values.
 * The header is taken off, an empty value in quotes becomes an empty value without, which a block reads as NULL, and line
 * ends outside quotes become a line feed.
 */
export class CsvRecords {
  /** Names of the columns, once the first record is complete. */
  header: readonly string[] | undefined
  /** Records that the last call handed over. */
  given = 0
  /** The value of column `key` in the last record handed over. */
  lastKey: string | undefined
  #skip: number
  readonly #key: number
  #part: Uint8Array = new Uint8Array()
  #inQuotes = false

  /** `skip`: records that were handed over before, when a body is read again. `key`: a column whose values need no quotes. */
  constructor({ skip = 0, key = -1 }: { skip?: number; key?: number } = {}) {
    this.#skip = skip
    this.#key = key
  }

  /** Whole records of this chunk and what was left of the one before; empty when none is complete. */
  take(chunk: Uint8Array): Uint8Array {
    this.given = 0
    const from = this.#part.length
    const bytes = from === 0 ? chunk : Buffer.concat([this.#part, chunk])
    const out = new Uint8Array(bytes.length)
    let size = 0
    let start = 0
    let inQuotes = this.#inQuotes
    for (let at = from; at < bytes.length; at++) {
      const byte = bytes[at]
      if (byte === QUOTE) inQuotes = !inQuotes
      else if (byte === LF && !inQuotes) {
        size = this.#record(bytes, start, at, out, size)
        start = at + 1
      }
    }
    this.#inQuotes = inQuotes
    this.#part = bytes.slice(start)
    return out.subarray(0, size)
  }

  /** The last record when it has no line end. @throws IncompleteBody when the text ends inside quotes */
  end(): Uint8Array {
    this.given = 0
    if (this.#inQuotes) throw new IncompleteBody('the CSV ends inside a value')
    const part = this.#part
    this.#part = new Uint8Array()
    const out = new Uint8Array(part.length + 1)
    return out.subarray(0, part.length === 0 ? 0 : this.#record(part, 0, part.length, out, 0))
  }

  #record(bytes: Uint8Array, from: number, to: number, out: Uint8Array, size: number): number {
    const end = to > from && bytes[to - 1] === CR ? to - 1 : to
    if (!this.header) {
      this.header = cells(bytes.subarray(from, end))
      return size
    }
    if (this.#skip > 0) {
      this.#skip--
      return size
    }
    this.given++
    const start = size
    let inQuotes = false
    for (let at = from; at < end; at++) {
      const byte = bytes[at]!
      if (byte === QUOTE) {
        // An empty value: quotes that open behind a delimiter and close before one.
        const empty =
          !inQuotes &&
          at + 1 < end &&
          bytes[at + 1] === QUOTE &&
          (at === from || bytes[at - 1] === COMMA) &&
          (at + 2 === end || bytes[at + 2] === COMMA)
        if (empty) {
          at++
          continue
        }
        inQuotes = !inQuotes
      }
      out[size++] = byte
    }
    if (this.#key >= 0) this.lastKey = this.#keyOf(out, start, size)
    out[size++] = LF
    return size
  }

  #keyOf(bytes: Uint8Array, start: number, end: number): string | undefined {
    if (this.#key > 0) return cells(bytes.subarray(start, end))[this.#key]
    const comma = bytes.indexOf(COMMA, start)
    return Buffer.from(bytes.buffer, start, (comma < 0 || comma > end ? end : comma) - start)
      .toString('latin1')
      .replaceAll('"', '')
  }
}

/** The values of one record. */
function cells(record: Uint8Array): string[] {
  const text = Buffer.from(record).toString('utf8')
  return [...text.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map(([, quoted, plain]) =>
    quoted === undefined ? plain! : quoted.replaceAll('""', '"'),
  )
}
