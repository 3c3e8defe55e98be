import { IngestError } from '../../core/errors.ts'
import { type Lsn, lsnAt } from './lsn.ts'

/** The values of one row: text, null, or undefined where a large value was not changed and is not in the log. */
export type Tuple = (string | null | undefined)[]

export interface LogRelation {
  oid: number
  schema: string
  name: string
  columns: readonly { name: string; key: boolean; typeOid: number; typmod: number }[]
}

/**
 * A message of the plug-in pgoutput, version 1 of its protocol (PostgreSQL documentation, "Logical Replication Message
 * Formats"). `old`: the row before; with `keyOnly` just the columns of its replica identity.
 */
export type LogMessage =
  /** `place`: of the transaction's commit. */
  | { kind: 'begin'; place: Lsn }
  | { kind: 'commit'; end: Lsn }
  | { kind: 'relation'; relation: LogRelation }
  | { kind: 'insert'; relation: number; row: Tuple }
  | { kind: 'update'; relation: number; row: Tuple; old?: Tuple; keyOnly: boolean }
  | { kind: 'delete'; relation: number; old: Tuple; keyOnly: boolean }
  | { kind: 'truncate'; relations: number[] }
  | { kind: 'other' }

const other: LogMessage = { kind: 'other' }

/**
 * Reads one message. Rows of other relations than `wanted` are not taken apart: one slot carries the changes of many
 * tables, and each of their streams looks for its own.
 *
 * @throws IngestError `source.protocol_violation` (report)
 */
export function readMessage(bytes: Buffer, wanted: number): LogMessage {
  const reader = new Reader(bytes)
  switch (String.fromCharCode(reader.byte())) {
    case 'B':
      return { kind: 'begin', place: lsnAt(bytes, 1) }
    case 'C':
      // Flags, the commit's own place, the place behind it.
      return { kind: 'commit', end: lsnAt(bytes, 10) }
    case 'R': {
      const relation = { oid: reader.int32(), schema: reader.text(), name: reader.text() }
      reader.byte()
      const columns = Array.from({ length: reader.int16() }, () => ({
        key: (reader.byte() & 1) === 1,
        name: reader.text(),
        typeOid: reader.int32(),
        typmod: reader.signed(),
      }))
      return { kind: 'relation', relation: { ...relation, columns } }
    }
    case 'I': {
      const relation = reader.int32()
      if (relation !== wanted) return other
      reader.byte()
      return { kind: 'insert', relation, row: reader.tuple() }
    }
    case 'U': {
      const relation = reader.int32()
      if (relation !== wanted) return other
      const marker = String.fromCharCode(reader.byte())
      if (marker === 'N') return { kind: 'update', relation, row: reader.tuple(), keyOnly: false }
      const old = reader.tuple()
      reader.byte()
      return { kind: 'update', relation, row: reader.tuple(), old, keyOnly: marker === 'K' }
    }
    case 'D': {
      const relation = reader.int32()
      if (relation !== wanted) return other
      const keyOnly = String.fromCharCode(reader.byte()) === 'K'
      return { kind: 'delete', relation, old: reader.tuple(), keyOnly }
    }
    case 'T': {
      const count = reader.int32()
      reader.byte()
      return { kind: 'truncate', relations: Array.from({ length: count }, () => reader.int32()) }
    }
    default:
      return other
  }
}

class Reader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  byte(): number {
    return this.#bytes[this.#at++]!
  }

  int16(): number {
    this.#at += 2
    return this.#bytes.readUInt16BE(this.#at - 2)
  }

  int32(): number {
    this.#at += 4
    return this.#bytes.readUInt32BE(this.#at - 4)
  }

  signed(): number {
    this.#at += 4
    return this.#bytes.readInt32BE(this.#at - 4)
  }

  text(): string {
    const end = this.#bytes.indexOf(0, this.#at)
    const text = this.#bytes.toString('utf8', this.#at, end)
    this.#at = end + 1
    return text
  }

  tuple(): Tuple {
    const values: Tuple = new Array(this.int16())
    for (let index = 0; index < values.length; index++) {
      const kind = this.byte()
      if (kind === 0x6e) values[index] = null
      else if (kind === 0x75) values[index] = undefined
      else if (kind === 0x74) {
        const end = this.#at + 4 + this.int32()
        values[index] = this.#bytes.toString('utf8', this.#at, end)
        this.#at = end
      } else throw new IngestError('source.protocol_violation', `pgoutput sent a value of the unknown kind ${kind}`)
    }
    return values
  }
}
