import type { LeafStats } from './batch-writer.ts'
import { address, type Kernel } from './kernel.ts'
import type { LeafNode } from './kernel-schema.ts'

/** Bytes of a string's bounds that are kept in the file and in `LeafStats`. */
const BOUND_BYTES = 128
/** Bytes of a bound that the kernel holds. */
const KERNEL_BYTES = 256

/** A bound of one chunk: as a value, as its PLAIN bytes, and whether some row holds just this value. */
export interface Bound {
  value: bigint | number | string | boolean | undefined
  bytes: Uint8Array
  exact: boolean
}

export interface ChunkStatistics {
  nulls: number
  min?: Bound
  max?: Bound
  /** NaN has no place in an order that readers agree on, so a chunk that holds one has no bounds. */
  sawNaN: boolean
}

/** Reads the statistics of a leaf's open chunk out of the kernel. */
export function readStatistics(kernel: Kernel, leaf: number, node: LeafNode): ChunkStatistics {
  const at = address(kernel.statistics(leaf))
  const memory = kernel.memory.buffer
  const view = new DataView(memory, at, 80)
  const sawNaN = view.getInt32(4, true) !== 0
  const nulls = view.getFloat64(8, true)
  if (view.getInt32(0, true) === 0 || sawNaN) return { nulls, sawNaN }
  const { kind } = node.type
  if (kind === 'string' || kind === 'binary') {
    const text = (field: number) =>
      Buffer.from(
        new Uint8Array(memory, view.getUint32(field, true), Math.min(view.getInt32(field + 4, true), KERNEL_BYTES)),
      )
    const lengthOf = (field: number) => view.getInt32(field + 4, true)
    const min = lowerBound(text(64), lengthOf(64), kind)
    const max = upperBound(text(72), lengthOf(72), kind)
    return { nulls, sawNaN, min, ...(max ? { max } : {}) }
  }
  if (kind === 'double' || kind === 'float') {
    // Zero has two signs and readers differ on their order: the bounds take both in.
    const min = view.getFloat64(48, true)
    const max = view.getFloat64(56, true)
    return { nulls, sawNaN, min: floatBound(min === 0 ? -0 : min, kind), max: floatBound(max === 0 ? 0 : max, kind) }
  }
  const integer = (low: number, high: number) => {
    const value = view.getBigInt64(low, true)
    return node.width > 8 ? (view.getBigInt64(high, true) << 64n) + BigInt.asUintN(64, value) : value
  }
  return { nulls, sawNaN, min: integerBound(integer(16, 32), node), max: integerBound(integer(24, 40), node) }
}

function floatBound(value: number, kind: 'float' | 'double'): Bound {
  const bytes = Buffer.alloc(kind === 'float' ? 4 : 8)
  if (kind === 'float') bytes.writeFloatLE(value)
  else bytes.writeDoubleLE(value)
  return { value, bytes, exact: true }
}

function integerBound(value: bigint, node: LeafNode): Bound {
  if (node.type.kind === 'boolean') return { value: value !== 0n, bytes: Uint8Array.of(Number(value)), exact: true }
  const bytes = Buffer.alloc(node.width)
  if (node.width === 4) bytes.writeInt32LE(Number(value))
  else if (node.width === 8) bytes.writeBigInt64LE(value)
  else for (let i = node.width - 1, v = value; i >= 0; i--, v >>= 8n) bytes[i] = Number(v & 255n)
  return { value, bytes, exact: true }
}

function lowerBound(text: Buffer, length: number, kind: 'string' | 'binary'): Bound {
  if (length <= BOUND_BYTES) return textBound(text, true, kind)
  return textBound(text.subarray(0, kind === 'string' ? characterStart(text, BOUND_BYTES) : BOUND_BYTES), false, kind)
}

/** The shortest text of that length that is greater than every text it begins; undefined when there is none. */
function upperBound(text: Buffer, length: number, kind: 'string' | 'binary'): Bound | undefined {
  if (length <= BOUND_BYTES) return textBound(text, true, kind)
  if (kind === 'binary') {
    let end = BOUND_BYTES
    while (end > 0 && text[end - 1] === 255) end--
    if (end === 0) return undefined
    const bytes = Buffer.from(text.subarray(0, end))
    bytes[end - 1]! += 1
    return textBound(bytes, false, kind)
  }
  const characters = [...text.subarray(0, characterStart(text, BOUND_BYTES)).toString()]
  while (characters.length > 0) {
    const last = characters.pop()!.codePointAt(0)!
    if (last === 0x10ffff) continue
    // Code points order as their UTF-8 does; the surrogates between them are none.
    const next = last === 0xd7ff ? 0xe000 : last + 1
    return textBound(Buffer.from(characters.join('') + String.fromCodePoint(next)), false, kind)
  }
  return undefined
}

/** The last place at or before `at` where a UTF-8 sequence begins. */
function characterStart(text: Buffer, at: number): number {
  let p = at
  while (p > 0 && (text[p]! & 0xc0) === 0x80) p--
  return p
}

function textBound(bytes: Buffer, exact: boolean, kind: 'string' | 'binary'): Bound {
  return { value: kind === 'string' ? bytes.toString() : undefined, bytes: Buffer.from(bytes), exact }
}

/** The statistics of a leaf over all chunks of the file. */
export function mergeStatistics(node: LeafNode, chunks: readonly ChunkStatistics[]): LeafStats {
  const nulls = chunks.reduce((sum, chunk) => sum + chunk.nulls, 0)
  const base = { path: node.physicalPath, nulls, exact: true }
  const valued = chunks.filter((chunk) => chunk.sawNaN || chunk.min || chunk.max)
  if (valued.length === 0 || node.type.kind === 'binary' || valued.some((chunk) => chunk.sawNaN)) return base
  const mins = valued.map((chunk) => chunk.min)
  const maxs = valued.map((chunk) => chunk.max)
  const min = mins.every((bound) => bound !== undefined) ? mins.reduce((a, b) => (less(b, a) ? b : a)) : undefined
  const max = maxs.every((bound) => bound !== undefined) ? maxs.reduce((a, b) => (less(a, b) ? b : a)) : undefined
  return {
    ...base,
    ...(min?.value === undefined ? {} : { min: min.value }),
    ...(max?.value === undefined ? {} : { max: max.value }),
    exact: (min?.exact ?? false) && (max?.exact ?? false),
  }
}

function less(a: Bound, b: Bound): boolean {
  if (typeof a.value === 'string') return Buffer.compare(a.bytes, b.bytes) < 0
  return a.value! < b.value!
}
