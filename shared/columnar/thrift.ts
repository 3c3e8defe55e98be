/** Field types of the Thrift compact protocol (apache/thrift, "Thrift Compact protocol"). */
const TRUE = 1
const FALSE = 2
const BYTE = 3
const I32 = 5
const I64 = 6
const BINARY = 8
const LIST = 9
const STRUCT = 12

/** A writer of Thrift's compact protocol: just the parts that Parquet's metadata uses. */
export class ThriftWriter {
  #bytes = Buffer.alloc(256)
  #length = 0
  #lastId = 0

  bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length)
  }

  /** A struct by itself: `write` adds its fields in the order of their ids. */
  struct(write: () => void) {
    const outer = this.#lastId
    this.#lastId = 0
    write()
    this.#put(0)
    this.#lastId = outer
  }

  structField(id: number, write: () => void) {
    this.#header(id, STRUCT)
    this.struct(write)
  }

  bool(id: number, value: boolean) {
    this.#header(id, value ? TRUE : FALSE)
  }

  i8(id: number, value: number) {
    this.#header(id, BYTE)
    this.#put(value & 0xff)
  }

  i32(id: number, value: number) {
    this.#header(id, I32)
    this.#zigzag(BigInt(value))
  }

  i64(id: number, value: number) {
    this.#header(id, I64)
    this.#zigzag(BigInt(value))
  }

  binary(id: number, value: Uint8Array | string) {
    this.#header(id, BINARY)
    this.#binary(value)
  }

  i32List(id: number, values: readonly number[]) {
    this.#list(id, I32, values.length)
    for (const value of values) this.#zigzag(BigInt(value))
  }

  binaryList(id: number, values: readonly string[]) {
    this.#list(id, BINARY, values.length)
    for (const value of values) this.#binary(value)
  }

  structList<T>(id: number, values: readonly T[], write: (value: T) => void) {
    this.#list(id, STRUCT, values.length)
    for (const value of values) this.struct(() => write(value))
  }

  #list(id: number, type: number, length: number) {
    this.#header(id, LIST)
    if (length < 15) this.#put((length << 4) | type)
    else {
      this.#put(0xf0 | type)
      this.#varint(length)
    }
  }

  #binary(value: Uint8Array | string) {
    const bytes = typeof value === 'string' ? Buffer.from(value) : value
    this.#varint(bytes.length)
    this.#room(bytes.length)
    this.#bytes.set(bytes, this.#length)
    this.#length += bytes.length
  }

  #header(id: number, type: number) {
    const delta = id - this.#lastId
    if (delta > 0 && delta < 16) this.#put((delta << 4) | type)
    else {
      this.#put(type)
      this.#zigzag(BigInt(id))
    }
    this.#lastId = id
  }

  #zigzag(value: bigint) {
    let v = BigInt.asUintN(64, (value << 1n) ^ (value >> 63n))
    while (v > 127n) {
      this.#put(Number(v & 127n) | 128)
      v >>= 7n
    }
    this.#put(Number(v))
  }

  #varint(value: number) {
    let v = value
    while (v > 127) {
      this.#put((v & 127) | 128)
      v >>>= 7
    }
    this.#put(v)
  }

  #put(byte: number) {
    this.#room(1)
    this.#bytes[this.#length++] = byte
  }

  #room(more: number) {
    if (this.#length + more <= this.#bytes.length) return
    const bigger = Buffer.alloc(Math.max(this.#bytes.length * 2, this.#length + more))
    bigger.set(this.#bytes.subarray(0, this.#length))
    this.#bytes = bigger
  }
}
