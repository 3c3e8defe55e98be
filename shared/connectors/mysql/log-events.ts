import { createZstdDecompress, inflateSync } from 'node:zlib'
import { IngestError, invariant } from '../../core/errors.ts'
import type { TransactionName } from './log-place.ts'

/** Types of events (MySQL Internals, "Event Types"; from 160 on MariaDB's own). */
export const eventType = {
  query: 2,
  rotate: 4,
  format: 15,
  xid: 16,
  tableMap: 19,
  gtid: 33,
  partialUpdate: 39,
  xaPrepare: 38,
  payload: 40,
  taggedGtid: 42,
  mariadbGtid: 162,
  compressedQuery: 165,
} as const

/** One event of the log, without its header and checksum. */
export interface LogEvent {
  type: number
  /** Of the server that wrote it first. */
  server: number
  /** The lower 32 bits of the offset behind it; 0 for one that is in no file. */
  end: number
  body: Buffer
  /** All of it without the checksum: what `readEvent` takes. */
  bytes: Buffer
}

export const headerBytes = 19

/** @param bytes one whole event; `tail` bytes of checksum are left out */
export function readEvent(bytes: Buffer, tail: number): LogEvent {
  return {
    type: bytes[4]!,
    server: bytes.readUInt32LE(5),
    end: bytes.readUInt32LE(13),
    body: bytes.subarray(headerBytes, bytes.length - tail),
    bytes: tail > 0 ? bytes.subarray(0, bytes.length - tail) : bytes,
  }
}

/** How the events after this one end: its last byte before its own checksum. 0 none, 1 CRC32. */
export const checksumOf = (formatEvent: Buffer): number => formatEvent[formatEvent.length - 5]!

/** A length of 1, 3, 4 or 9 bytes, and where it ends. */
export function packedLength(bytes: Buffer, at: number): [length: number, next: number] {
  const first = bytes[at]!
  if (first < 251) return [first, at + 1]
  if (first === 252) return [bytes.readUInt16LE(at + 1), at + 3]
  if (first === 253) return [bytes.readUIntLE(at + 1, 3), at + 4]
  return [bytes.readUIntLE(at + 1, 6), at + 9]
}

/** The database a statement ran in, and its text. */
export function readQuery({ type, body }: LogEvent): { database: string; sql: string } {
  const statusBytes = body.readUInt16LE(11)
  const at = 13 + statusBytes
  const database = body.toString('utf8', at, at + body[8]!)
  const text = body.subarray(at + body[8]! + 1)
  return { database, sql: (type === eventType.compressedQuery ? inflate(text) : text).toString('utf8') }
}

export interface Begin {
  name: TransactionName
  /** One statement and nothing after it: no commit follows. */
  alone: boolean
}

/** @throws IngestError `source.protocol_violation` for tagged names, which are not read yet */
export function readBegin({ type, server, body }: LogEvent): Begin {
  if (type === eventType.mariadbGtid)
    return {
      name: { kind: 'domains', domain: body.readUInt32LE(8), server, number: body.readBigUInt64LE(0) },
      alone: (body[12]! & 1) !== 0,
    }
  invariant(type === eventType.gtid, 'only GTID events begin a transaction by name')
  const hex = body.toString('hex', 1, 17)
  const uuid = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
  return { name: { kind: 'sets', server: uuid, number: body.readBigInt64LE(17) }, alone: false }
}

/** Table id, names and columns as one transaction's rows have them. */
export interface TableMap {
  id: number
  schema: string
  table: string
  types: Buffer
  meta: Buffer
}

export const tableIdOf = (body: Buffer): number => body.readUIntLE(0, 6)

export function readTableMap(body: Buffer): TableMap {
  const schemaBytes = body[8]!
  const schema = body.toString('utf8', 9, 9 + schemaBytes)
  let at = 10 + schemaBytes
  const tableBytes = body[at]!
  const table = body.toString('utf8', at + 1, at + 1 + tableBytes)
  at += tableBytes + 2
  const [columns, typesAt] = packedLength(body, at)
  const [metaBytes, metaAt] = packedLength(body, typesAt + columns)
  return {
    id: tableIdOf(body),
    schema,
    table,
    types: body.subarray(typesAt, typesAt + columns),
    meta: body.subarray(metaAt, metaAt + metaBytes),
  }
}

export type RowsKind = 'insert' | 'update' | 'delete'
const plainRows: Record<number, RowsKind> = {
  23: 'insert',
  24: 'update',
  25: 'delete',
  30: 'insert',
  31: 'update',
  32: 'delete',
}
/** MariaDB's log_bin_compress. */
const compressedRows: Record<number, RowsKind> = { 166: 'insert', 167: 'update', 168: 'delete' }

export const rowsKind = (type: number): RowsKind | undefined => plainRows[type] ?? compressedRows[type]

/** Which columns each image holds, and where the first row begins. */
export interface RowsEvent {
  kind: RowsKind
  id: number
  columns: number
  whole: boolean
  bytes: Buffer
  at: number
}

export function readRows({ type, body }: LogEvent): RowsEvent {
  const kind = rowsKind(type)!
  let at = 8
  // Version 2 has room for more, which counts itself.
  if (type >= 30 && type <= 32) at += body.readUInt16LE(8)
  const [columns, next] = packedLength(body, at)
  const bitmap = (columns + 7) >> 3
  const images = kind === 'update' ? 2 : 1
  let whole = true
  for (let image = 0; image < images; image++)
    for (let column = 0; column < columns; column++)
      if (((body[next + image * bitmap + (column >> 3)]! >> (column & 7)) & 1) === 0) whole = false
  at = next + images * bitmap
  const id = tableIdOf(body)
  if (compressedRows[type]) return { kind, id, columns, whole, bytes: inflate(body.subarray(at)), at: 0 }
  return { kind, id, columns, whole, bytes: body, at }
}

/** The events inside a compressed transaction (MySQL Internals, "Transaction Payload Event"), as they are unpacked. */
export async function* payloadEvents(body: Buffer): AsyncGenerator<LogEvent[], void, undefined> {
  let at = 0
  let compression = 255
  for (;;) {
    const [field, lengthAt] = packedLength(body, at)
    if (field === 0) {
      at = lengthAt
      break
    }
    const [length, valueAt] = packedLength(body, lengthAt)
    if (field === 2) compression = packedLength(body, valueAt)[0]
    at = valueAt + length
  }
  const packed = body.subarray(at)
  if (compression !== 0 && compression !== 255)
    throw new IngestError('source.protocol_violation', `the log is compressed by method ${compression}; zstd is known`)
  let rest = Buffer.alloc(0)
  for await (const chunk of compression === 0 ? unzstd(packed) : [packed]) {
    const bytes = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk
    const events: LogEvent[] = []
    let from = 0
    while (bytes.length - from >= headerBytes) {
      const length = bytes.readUInt32LE(from + 9)
      if (bytes.length - from < length) break
      events.push(readEvent(bytes.subarray(from, from + length), 0))
      from += length
    }
    rest = Buffer.from(bytes.subarray(from))
    if (events.length > 0) yield events
  }
}

function unzstd(packed: Buffer): AsyncIterable<Buffer> {
  const stream = createZstdDecompress({ chunkSize: 1 << 18 })
  stream.end(packed)
  return stream
}

/** MariaDB's packing: a byte 0x80 + the number of bytes of the length, the length with its highest byte first, zlib. */
function inflate(packed: Buffer): Buffer {
  const lengthBytes = packed[0]! & 0x07
  if ((packed[0]! & 0xe0) !== 0x80)
    throw new IngestError('source.protocol_violation', 'an event of the log is compressed in an unknown way')
  return inflateSync(packed.subarray(1 + lengthBytes))
}
