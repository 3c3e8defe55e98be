import { alloc, allocZeroed, resize } from './memory'
import { BOOLEAN, DECIMAL, State } from './state'
import { newDictionary } from './dictionary'

/** Levels held for one page at most. */
export const PAGE_VALUES = 32768

/**
 * One leaf column: the levels and values of its open page, and the state of its open column chunk.
 *
 * Records in which the column's top-level field is absent or null write nothing here: `catchUp` adds their levels
 * before the next value, or when the page ends. That makes sparse tables cheap, and undoing a bad record simple:
 * whatever lies behind the mark of the record's first level goes.
 */
@unmanaged export class Leaf {
  node: i32
  type: i32
  /** Bytes of a value in PLAIN encoding; 0 for variable length. Booleans are packed when the page is written. */
  width: i32
  precision: i32
  scale: i32
  maxDefinition: i32
  maxRepetition: i32

  /** Levels of the page: one byte each. */
  levels: i32
  levelRoom: i32
  definitions: usize
  repetitions: usize
  /** The record with which the page begins, and the one whose levels come next. */
  firstRow: i32
  nextRow: i32

  /** Values of the page: PLAIN bytes [values, values + size). */
  count: i32
  size: i32
  /** Writing beyond `limit` asks for room; it is the lesser of the buffer's size and the page's. */
  limit: i32
  room: i32
  values: usize

  /** Dictionary of the chunk, unless it was given up: see dictionary.ts. */
  encoded: bool
  entries: i32
  entryBytes: i32
  entryRoom: i32
  entryData: usize
  offsetRoom: i32
  offsets: usize
  table: usize
  tableMask: i32
  /** Pages of the chunk that use the dictionary, and values in all its written pages. */
  dictionaryPages: i32
  written: i64

  /** The state when the record being read reached this leaf. */
  markLevels: i32
  markCount: i32
  markSize: i32

  /** Statistics of the chunk: see statistics.ts. */
  hasStats: bool
  sawNaN: bool
  nulls: i64
  minInt: i64
  maxInt: i64
  minHigh: i64
  maxHigh: i64
  minFloat: f64
  maxFloat: f64
  minText: usize
  minLength: i32
  maxText: usize
  maxLength: i32
}

export function newLeaf(
  node: i32,
  type: i32,
  precision: i32,
  scale: i32,
  width: i32,
  maxDefinition: i32,
  maxRepetition: i32,
): Leaf {
  const l = changetype<Leaf>(allocZeroed(offsetof<Leaf>()))
  l.node = node
  l.type = type
  l.precision = precision
  l.scale = scale
  l.width = width
  l.maxDefinition = maxDefinition
  l.maxRepetition = maxRepetition
  return l
}

/** Gives the leaf its buffers: left out when the writer only validates. */
export function openLeaf(l: Leaf): void {
  l.levelRoom = 1024
  if (l.maxDefinition) l.definitions = alloc(l.levelRoom)
  if (l.maxRepetition) l.repetitions = alloc(l.levelRoom)
  l.room = 1024
  l.limit = min(l.room, State.pageBytes)
  l.values = alloc(l.room)
  l.encoded = l.type != BOOLEAN && !(l.type == DECIMAL && l.width > 8)
  if (l.encoded) newDictionary(l)
  l.minText = alloc(256)
  l.maxText = alloc(256)
}

/** Adds the levels of the records on this page, up to the one being read, that did not reach the leaf. */
export function catchUp(l: Leaf): void {
  const missing = State.row - l.nextRow
  if (missing <= 0) return
  while (l.levels + missing > l.levelRoom) growLevels(l)
  if (l.maxDefinition) memory.fill(l.definitions + l.levels, 0, missing)
  if (l.maxRepetition) memory.fill(l.repetitions + l.levels, 0, missing)
  l.levels += missing
  l.nextRow = State.row
}

function growLevels(l: Leaf): void {
  const room = l.levelRoom * 2
  if (l.maxDefinition) l.definitions = resize(l.definitions, l.levels, room)
  if (l.maxRepetition) l.repetitions = resize(l.repetitions, l.levels, room)
  l.levelRoom = room
  if (room > PAGE_VALUES) State.due = true
}

/** Adds one level pair. `definition` at its maximum announces a value. */
@inline export function addLevel(l: Leaf, repetition: i32, definition: i32): void {
  if (repetition == 0) {
    const row = State.row
    if (l.nextRow != row) catchUp(l)
    l.nextRow = row + 1
    l.markLevels = l.levels
    l.markCount = l.count
    l.markSize = l.size
  }
  const n = l.levels
  if (n >= l.levelRoom) growLevels(l)
  if (l.maxDefinition) store<u8>(l.definitions + n, definition)
  if (l.maxRepetition) store<u8>(l.repetitions + n, repetition)
  l.levels = n + 1
}

/** Takes back what the record being read has added. */
export function undoRecord(l: Leaf): void {
  if (l.nextRow <= State.row) return
  l.nextRow = State.row
  l.levels = l.markLevels
  l.count = l.markCount
  l.size = l.markSize
  l.limit = min(l.room, State.pageBytes)
}

function growValues(l: Leaf, more: i32): void {
  const size = l.size + more
  if (size > State.pageBytes) State.due = true
  if (size > l.room) {
    const room = max(l.room * 2, size)
    l.values = resize(l.values, l.size, room)
    l.room = room
  }
  l.limit = size > State.pageBytes ? l.room : min(l.room, State.pageBytes)
}

@inline export function roomForValue(l: Leaf, bytes: i32): void {
  if (l.size + bytes > l.limit) growValues(l, bytes)
}

/** Adds a number of four or eight bytes. */
@inline export function addWord(l: Leaf, bits: i64): void {
  roomForValue(l, 8)
  const at = l.values + l.size
  if (l.width == 4) store<i32>(at, <i32>bits)
  else store<i64>(at, bits)
  l.size += l.width
  l.count++
}

@inline export function addBoolean(l: Leaf, value: i32): void {
  roomForValue(l, 1)
  store<u8>(l.values + l.size, value)
  l.size++
  l.count++
}

/** Adds a string or bytes. At least 16 bytes behind them can be read. */
@inline export function addBytes(l: Leaf, p: usize, length: i32): void {
  roomForValue(l, length + 4)
  const at = l.values + l.size
  store<i32>(at, length)
  copyBytes(at + 4, p, length)
  l.size += length + 4
  l.count++
}

/** Copies in steps of 16 bytes: up to 15 bytes behind the target are overwritten. */
@inline export function copyBytes(to: usize, from: usize, length: i32): void {
  if (length > 128) {
    memory.copy(to, from, length)
    return
  }
  for (let i = 0; i < length; i += 16) v128.store(to + i, v128.load(from + i))
}

/** Adds a decimal of more than 18 digits: big-endian two's complement in the fewest bytes that hold the precision. */
export function addWideDecimal(l: Leaf, high: u64, low: u64): void {
  roomForValue(l, 16)
  const width = l.width
  let at = l.values + l.size + width
  for (let i = 0; i < width; i++) {
    store<u8>(--at, <u8>low)
    low = (low >> 8) | (high << 56)
    high = <u64>(<i64>high >> 8)
  }
  l.size += width
  l.count++
}
