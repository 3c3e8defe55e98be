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
 * A message of the plug-in pgoutput about a table, version 1 of its protocol (PostgreSQL documentation, "Logical
 * Replication Message Formats"). `old`: the row before; with `keyOnly` just the columns of its replica identity.
 */
export type TableMessage =
  | { kind: 'relation'; relation: LogRelation }
  | { kind: 'insert'; row: Tuple }
  | { kind: 'update'; row: Tuple; old?: Tuple; keyOnly: boolean }
  | { kind: 'delete'; old: Tuple; keyOnly: boolean }
  | { kind: 'truncate'; relations: number[] }

const kinds: Record<string, TableMessage['kind'] | 'begin' | 'commit'> = {
  B: 'begin',
  C: 'commit',
  R: 'relation',
  I: 'insert',
  U: 'update',
  D: 'delete',
  T: 'truncate',
}
const kindByByte = Array.from({ length: 256 }, (_, byte) => kinds[String.fromCharCode(byte)] ?? 'other')

export const messageKind = (bytes: Buffer) => kindByByte[bytes[0]!]!

/** Of the transaction's commit. */
export const placeOfBegin = (bytes: Buffer): Lsn => lsnAt(bytes, 1)

/** Behind the commit: after flags and its own place. */
export const placeOfCommit = (bytes: Buffer): Lsn => lsnAt(bytes, 10)

/** The tables that a message is about, and the name where it tells it. */
export function relationsOf(
  bytes: Buffer,
  kind: TableMessage['kind'],
): { oid: number; named?: { schema: string; name: string } }[] {
  if (kind === 'truncate') {
    const { relations } = readMessage(bytes) as Extract<TableMessage, { kind: 'truncate' }>
    return relations.map((oid) => ({ oid }))
  }
  const oid = bytes.readUInt32BE(1)
  if (kind !== 'relation') return [{ oid }]
  const { relation } = readMessage(bytes) as Extract<TableMessage, { kind: 'relation' }>
  return [{ oid, named: relation }]
}

/** @throws IngestError `source.protocol_violation` (report) */
export function readMessage(bytes: Buffer): TableMessage {
  const reader = new Reader(bytes)
  reader.byte()
  const kind = messageKind(bytes)
  switch (kind) {
    case 'relation': {
      const relation = { oid: reader.int32(), schema: reader.text(), name: reader.text() }
      reader.byte()
      const columns = Array.from({ length: reader.int16() }, () => ({
        key: (reader.byte() & 1) === 1,
        name: reader.text(),
        typeOid: reader.int32(),
        typmod: reader.signed(),
      }))
      return { kind, relation: { ...relation, columns } }
    }
    case 'insert':
      reader.skip(5)
      return { kind, row: reader.tuple() }
    case 'update': {
      reader.skip(4)
      const marker = String.fromCharCode(reader.byte())
      if (marker === 'N') return { kind, row: reader.tuple(), keyOnly: false }
      const old = reader.tuple()
      reader.byte()
      return { kind, row: reader.tuple(), old, keyOnly: marker === 'K' }
    }
    case 'delete': {
      reader.skip(4)
      const keyOnly = String.fromCharCode(reader.byte()) === 'K'
      return { kind, old: reader.tuple(), keyOnly }
    }
    case 'truncate': {
      const count = reader.int32()
      reader.byte()
      return { kind, relations: Array.from({ length: count }, () => reader.int32()) }
    }
    default:
      throw new IngestError('source.protocol_violation', `a message of the kind ${kind} is about no table`)
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

  skip(bytes: number): void {
    this.#at += bytes
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
