import type { Row } from '../core/change.ts'

/** How a batch is read and written. Every field has a default; see the README's table of measurements for why. */
export interface BatchOptions {
  /** Page compression. Default `snappy`: every reader has it and the kernel does it in place. */
  compression?: 'snappy' | 'zstd' | 'gzip' | 'none'
  /** A row group is written when its columns hold this many bytes before compression. Default 32 MiB. */
  rowGroupBytes?: number
  /** A page is closed at about this many bytes before compression. Default 1 MiB. */
  pageBytes?: number
  /** Fields of a JSON record that the schema does not have. `rescue` collects them into the column `_rescued_data`. */
  unknownFields?: 'ignore' | 'reject' | 'rescue'
  /** `row`: a bad record is left out. `all`: one bad record refuses the whole `append` call and nothing of it is kept. */
  reject?: 'row' | 'all'
  /** The unit of a number given for a timestamp. Default `micros`. */
  epoch?: 'seconds' | 'millis' | 'micros'
  /** The text form of binary values in JSON. Default `base64`. */
  binary?: 'base64' | 'hex'
  /** Accept "NaN", "Infinity" and "-Infinity" for float and double. Default true. */
  nonFinite?: boolean
  /** A longer record is rejected as `too_large`. Default 64 MiB. */
  maxRecordBytes?: number
  csv?: CsvDialect
}

/** RFC 4180 with the usual liberties. `delimiter`, `quote` and `escape` are single ASCII characters. */
export interface CsvDialect {
  /** Default `,`. */
  delimiter?: string
  /** Default `"`; empty when nothing is quoted. Line feeds and delimiters may stand between quotes. */
  quote?: string
  /** Stands before a quote inside quotes. Default: the quote, doubled. */
  escape?: string
  /** The first record names the columns, in any order; names the schema lacks are passed over. Default false. */
  header?: boolean
  /** This text without quotes is null. Default: nothing between two delimiters. */
  nullText?: string
}

/** Why one record was left out. Never holds a value of the record. */
export interface Rejection {
  /** Position of the record among all records given to this writer, from 0. */
  record: number
  /** Bytes [start, end) of the record among all bytes given to this writer. Undefined for `appendRows`. */
  start?: number
  end?: number
  /** `address.city`, `tags[]`; empty when the record itself is not readable. */
  column: string
  code: 'malformed' | 'wrong_type' | 'out_of_range' | 'missing' | 'unknown_field' | 'too_deep' | 'too_large'
  /** The kind found (`string`, `number`, `end of input`...) and the type wanted (`decimal(10,2)`...). */
  got: string
  wanted: string
}

/** Exact bounds of one leaf column, as typed values: bigint for integers, dates (days), timestamps (microseconds) and unscaled decimals. */
export interface LeafStats {
  /** The column's path in the Parquet file: physical names, with `list.element` and `key_value.key` where it repeats. */
  path: readonly string[]
  nulls: number
  min?: bigint | number | string | boolean
  max?: bigint | number | string | boolean
  /** False when `max` of a long string was cut and rounded up, or `min` cut. */
  exact: boolean
}

export interface FinishedFile {
  rows: number
  sizeBytes: number
  rejected: number
  stats: readonly LeafStats[]
}

/**
 * Bytes or rows -> typed columns -> the bytes of one Parquet file. Memory is bounded by the row group: whole row groups
 * leave through `take`, in file order. Chunks may end anywhere, even inside a record; all chunks of one writer are of
 * one format. A record that does not fit is left out and reported, and never stops the batch.
 */
export interface BatchWriter {
  /**
   * NDJSON, or JSON arrays of objects. With `whole` the bytes are a message of their own: its last record ends where they
   * do, and an array left open in it does not swallow what comes next.
   */
  append(bytes: Uint8Array, whole?: boolean): void
  /**
   * PostgreSQL COPY text: columns in schema order, `\N` for null, `ISO` DateStyle, `hex` bytea. Arrays of one dimension
   * become lists (`{a,"b",NULL}`; more dimensions are rejected); json becomes a struct, map, list or variant. Dates take
   * ` BC`; `infinity` is rejected as out of range, so a query that may return it must rewrite it.
   */
  appendCopy(bytes: Uint8Array): void
  /** CSV in the dialect of the options. Values have the same forms as in COPY; binary is also base64 or hex by option. */
  appendCsv(bytes: Uint8Array): void
  /**
   * JavaScript values: boolean; number, bigint or text for numbers and decimals; string; Uint8Array for binary; Date,
   * text or bigint microseconds for timestamps; `YYYY-MM-DD` or bigint days for dates; arrays; plain objects; Map or
   * object for maps; any JSON value for variant. `undefined` is null.
   */
  appendRows(rows: readonly Row[]): void
  /** Records accepted so far. */
  readonly rows: number
  /** Bytes held in memory for the open row group. */
  readonly bufferedBytes: number
  /** File bytes ready since the last call, to be written in order. */
  take(): Uint8Array[]
  takeRejected(): Rejection[]
  /** Ends the last record and the file; the last bytes are then in `take`. The writer must not be used after it. */
  finish(): FinishedFile
}
