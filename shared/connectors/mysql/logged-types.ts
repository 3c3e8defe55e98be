import { IngestError } from '../../core/errors.ts'

/** Types of columns in a table map (MySQL Internals, "Column Types"). */
export const codes = {
  tiny: 1,
  short: 2,
  long: 3,
  float: 4,
  double: 5,
  timestamp: 7,
  longlong: 8,
  int24: 9,
  date: 10,
  time: 11,
  datetime: 12,
  year: 13,
  newdate: 14,
  varchar: 15,
  bit: 16,
  timestamp2: 17,
  datetime2: 18,
  time2: 19,
  vector: 242,
  json: 245,
  decimal: 246,
  enum: 247,
  set: 248,
  tinyBlob: 249,
  blob: 252,
  varString: 253,
  string: 254,
  geometry: 255,
} as const

/** One column of a table map: its type, and what the metadata says of it. */
export interface LoggedType {
  code: number
  meta: number
}

/** The columns of a table map: a string may be an enum or set, and its length has two more bits in its type. */
export function loggedTypes(types: Buffer, meta: Buffer): LoggedType[] {
  let at = 0
  return Array.from(types, (code) => {
    switch (code) {
      case codes.float:
      case codes.double:
      case codes.timestamp2:
      case codes.datetime2:
      case codes.time2:
      case codes.blob:
      case codes.geometry:
      case codes.json:
      case codes.vector:
      case codes.tinyBlob:
        return { code, meta: meta[at++]! }
      case codes.varchar:
      case codes.varString:
      case codes.bit:
        at += 2
        return { code, meta: meta.readUInt16LE(at - 2) }
      case codes.decimal:
        at += 2
        return { code, meta: (meta[at - 2]! << 8) | meta[at - 1]! }
      case codes.string:
      case codes.enum:
      case codes.set: {
        const [real, length] = [meta[at]!, meta[at + 1]!]
        at += 2
        if ((real & 0x30) !== 0x30) return { code: real | 0x30, meta: length | (((real & 0x30) ^ 0x30) << 4) }
        return { code: real, meta: length }
      }
      case 140:
      case 141:
        throw new IngestError(
          'config.invalid',
          'a compressed column is in the log: read the table by query or snapshot',
        )
      default:
        return { code, meta: 0 }
    }
  })
}

/** Which logged types a column of this DATA_TYPE may have. A column that was widened since is logged as it was before. */
export function fits(dataType: string, { code, meta }: LoggedType): boolean {
  const wanted = logged[dataType]
  // uuid, inet6 and the like are strings of a fixed length.
  return wanted ? wanted.includes(code) : code === codes.string && meta > 0
}

const integers = [codes.tiny, codes.short, codes.int24, codes.long, codes.longlong]
const upTo = (code: number) => integers.slice(0, integers.indexOf(code as 1) + 1)
const text = [codes.blob, codes.tinyBlob, codes.varchar, codes.varString]
const bytes = [codes.blob, codes.tinyBlob]
const geometry = [codes.geometry, codes.blob]
const logged: Record<string, readonly number[]> = {
  tinyint: [codes.tiny],
  smallint: upTo(codes.short),
  mediumint: upTo(codes.int24),
  int: upTo(codes.long),
  bigint: upTo(codes.longlong),
  float: [codes.float],
  double: [codes.double],
  decimal: [codes.decimal],
  bit: [codes.bit],
  year: [codes.year],
  date: [codes.date, codes.newdate],
  time: [codes.time, codes.time2],
  datetime: [codes.datetime, codes.datetime2],
  timestamp: [codes.timestamp, codes.timestamp2],
  char: [codes.string],
  binary: [codes.string],
  varchar: [codes.varchar, codes.varString],
  varbinary: [codes.varchar, codes.varString],
  enum: [codes.enum],
  set: [codes.set],
  tinytext: text,
  text,
  mediumtext: text,
  longtext: text,
  tinyblob: bytes,
  blob: bytes,
  mediumblob: bytes,
  longblob: bytes,
  json: [codes.json],
  vector: [codes.vector, codes.varchar, codes.blob],
  geometry,
  point: geometry,
  linestring: geometry,
  polygon: geometry,
  multipoint: geometry,
  multilinestring: geometry,
  multipolygon: geometry,
  geometrycollection: geometry,
  geomcollection: geometry,
}

/** Stored behind four bytes of their reference system. */
export const isGeometry = (dataType: string): boolean => logged[dataType] === geometry
