/** The logical types of a leaf, as numbers. The order is the one of `leafTypes` in ../kernel-schema.ts. */
export const BOOLEAN = 0
export const BYTE = 1
export const SHORT = 2
export const INTEGER = 3
export const LONG = 4
export const FLOAT = 5
export const DOUBLE = 6
export const STRING = 7
export const BINARY = 8
export const DATE = 9
export const TIMESTAMP = 10
export const TIMESTAMP_NTZ = 11
export const VARIANT = 12
export const DECIMAL = 13

/** Why a record failed. The order is the one of `rejectionCodes` in ../rejections.ts. */
export const MALFORMED = 1
export const WRONG_TYPE = 2
export const OUT_OF_RANGE = 3
export const MISSING = 4
export const UNKNOWN_FIELD = 5
export const TOO_DEEP = 6
export const TOO_LARGE = 7
/** Not an outcome: a key came twice, so the record is read again by the careful path. */
export const DUPLICATE = 100

/** What was found. The order is the one of `kinds` in ../rejections.ts. */
export const GOT_NOTHING = 0
export const GOT_OBJECT = 1
export const GOT_ARRAY = 2
export const GOT_STRING = 3
export const GOT_NUMBER = 4
export const GOT_BOOLEAN = 5
export const GOT_NULL = 6
export const GOT_END = 7
export const GOT_INVALID_UTF8 = 8
export const GOT_UNEXPECTED = 9
export const GOT_FRACTION = 10
export const GOT_MORE_COLUMNS = 11
export const GOT_FEWER_COLUMNS = 12
export const GOT_DEEP_NESTING = 13
export const GOT_LARGE_RECORD = 14
export const GOT_NON_FINITE = 15

export const UNKNOWN_IGNORE = 0
export const UNKNOWN_REJECT = 1
export const UNKNOWN_RESCUE = 2

/** Containers inside one skipped or `variant` value. */
export const MAX_DEPTH = 512

/** What the parts of the kernel share while one record is read. */
export abstract class State {
  /** One past the last byte of input. At least SLACK zero bytes follow. */
  static end: usize = 0
  /** The failure of the record being read; 0 while it is well. The first failure is kept. */
  static failed: i32 = 0
  static failedAt: usize = 0
  static failedNode: i32 = 0
  static failedGot: i32 = 0
  static unknownKey: usize = 0
  static unknownKeyLength: i32 = 0
  /** Accepted records of the open row group, which is the index of the record being read. */
  static row: i32 = 0
  /** A page is full or a dictionary has grown too large: to be served before the next record. */
  static due: bool = false
  /** Line feeds are white space: inside a JSON array, not in NDJSON. */
  static multiline: bool = false

  /** The record is being read again after a failure: see readStructCarefully. */
  static careful: bool = false

  static unknown: i32 = UNKNOWN_IGNORE
  static epochScale: i32 = 0
  static hexBinary: bool = false
  static nonFinite: bool = true
  static pageBytes: i32 = 1 << 20
}

/** Notes why the record failed and returns the place, so that parsers can `return fail(...)`. */
export function fail(code: i32, at: usize, node: i32, got: i32): usize {
  if (State.failed == 0) {
    State.failed = code
    State.failedAt = at
    State.failedNode = node
    State.failedGot = got
  }
  return at
}

/** The kind of JSON value that begins at `p`. */
export function kindAt(p: usize): i32 {
  if (p >= State.end) return GOT_END
  const c = load<u8>(p)
  if (c == 0x22) return GOT_STRING
  if (c == 0x7b) return GOT_OBJECT
  if (c == 0x5b) return GOT_ARRAY
  if (c == 0x74 || c == 0x66) return GOT_BOOLEAN
  if (c == 0x6e) return GOT_NULL
  if (c == 0x2d || (c >= 0x30 && c <= 0x39)) return GOT_NUMBER
  return GOT_UNEXPECTED
}
