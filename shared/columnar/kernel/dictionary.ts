import { alloc, allocZeroed, free, resize } from './memory'
import { equalBytes, hashBytes } from './node'
import { copyBytes, Leaf, PAGE_VALUES } from './leaf'

/**
 * RLE_DICTIONARY (Parquet format, "Dictionary Encoding"). A page's values are collected as PLAIN bytes and looked up
 * when the page ends, column by column: the table stays in the cache and one lookup does not wait for the other.
 * With each value looked up as it came, a file took 1.3 times as long from COPY text and 1.6 times in a wide table.
 */

/**
 * When a dictionary is given up: at 2,048 entries if nearly every value was new, from 16,384 on unless a value comes
 * eight times, since the wider indexes then cost more than compression saves, and at 1 MiB, as readers hold it in
 * memory.
 */
const FIRST_TRIAL = 2048
const SECOND_TRIAL = 16384
const DICTIONARY_BYTES = 1 << 20

/** `seen`: values of the chunk so far. */
function doesNotPay(l: Leaf, seen: i64): bool {
  if (l.entryBytes > DICTIONARY_BYTES) return true
  if (l.entries == FIRST_TRIAL) return seen < FIRST_TRIAL + FIRST_TRIAL / 20
  return l.entries >= SECOND_TRIAL && <i64>l.entries * 8 > seen
}

/** The indexes of the page that was encoded last, four bytes each. */
export abstract class Indexes {
  static at: usize = 0
  static room: i32 = 0
}

export function openIndexes(): void {
  Indexes.room = PAGE_VALUES
  Indexes.at = alloc(4 * PAGE_VALUES)
}

/**
 * The entries' PLAIN bytes lie one behind the other. `table` is open-addressed: of numbers it holds index + 1; of
 * strings it holds (hash, index + 1), and `offsets` where each entry begins.
 */
export function newDictionary(l: Leaf): void {
  l.entryRoom = 1024
  l.entryData = alloc(l.entryRoom)
  l.tableMask = 511
  l.table = allocZeroed(slotBytes(l) * 512)
  if (l.width) return
  l.offsetRoom = 256
  l.offsets = alloc(4 * l.offsetRoom)
}

@inline function slotBytes(l: Leaf): i32 {
  return l.width ? 4 : 8
}

/** Empties the dictionary for a new column chunk. */
export function clearDictionary(l: Leaf): void {
  l.entries = 0
  l.entryBytes = 0
  l.dictionaryPages = 0
  if (l.encoded) memory.fill(l.table, 0, slotBytes(l) * (l.tableMask + 1))
}

/** Puts the indexes of the page's values into `Indexes`. False when the dictionary does not pay and was given up. */
export function encodeValues(l: Leaf): bool {
  if (l.count == 0) return false
  if (l.count > Indexes.room) {
    free(Indexes.at)
    Indexes.room = l.count
    Indexes.at = alloc(4 * l.count)
  }
  const entries = l.entries
  const entryBytes = l.entryBytes
  const pays = l.width == 4 ? encodeWords<u32>(l) : l.width == 8 ? encodeWords<u64>(l) : encodeTexts(l)
  if (pays) return true
  // Earlier pages keep their entries.
  l.encoded = false
  l.entries = entries
  l.entryBytes = entryBytes
  free(l.table)
  return false
}

@inline function hashWord(bits: u64): i32 {
  return <i32>((bits * 0x9e3779b97f4a7c15) >> 32)
}

function encodeWords<T>(l: Leaf): bool {
  let to = Indexes.at
  const end = l.values + l.size
  for (let p = l.values; p < end; p += sizeof<T>()) {
    const value = load<T>(p)
    let slot = hashWord(<u64>value) & l.tableMask
    let entry: i32
    while (true) {
      entry = load<i32>(l.table + (<usize>slot << 2))
      if (entry == 0) {
        entry = addWord<T>(l, value, slot)
        if (doesNotPay(l, l.written + ((to - Indexes.at) >> 2) + 1)) return false
        break
      }
      if (load<T>(l.entryData + <usize>(entry - 1) * sizeof<T>()) == value) break
      slot = (slot + 1) & l.tableMask
    }
    store<i32>(to, entry - 1)
    to += 4
  }
  return true
}

/** Makes the number an entry, to be found in the empty slot; returns its index + 1. */
function addWord<T>(l: Leaf, value: T, slot: i32): i32 {
  roomForEntry(l, sizeof<T>())
  store<T>(l.entryData + l.entryBytes, value)
  l.entryBytes += sizeof<T>()
  const entry = ++l.entries
  store<i32>(l.table + (<usize>slot << 2), entry)
  if (entry * 2 > l.tableMask) {
    growTable(l)
    for (let i = 0; i < entry; i++) {
      let at = hashWord(<u64>load<T>(l.entryData + i * sizeof<T>())) & l.tableMask
      while (load<i32>(l.table + (<usize>at << 2))) at = (at + 1) & l.tableMask
      store<i32>(l.table + (<usize>at << 2), i + 1)
    }
  }
  return entry
}

function encodeTexts(l: Leaf): bool {
  let to = Indexes.at
  const end = l.values + l.size
  let p = l.values
  while (p < end) {
    const length = load<i32>(p)
    const hash = hashBytes(p + 4, length)
    let slot = hash & l.tableMask
    let entry: i32
    while (true) {
      const at = l.table + (<usize>slot << 3)
      entry = load<i32>(at, 4)
      if (entry == 0) {
        entry = addText(l, p, length, hash, slot)
        if (doesNotPay(l, l.written + ((to - Indexes.at) >> 2) + 1)) return false
        break
      }
      if (load<i32>(at) == hash) {
        const text = l.entryData + load<i32>(l.offsets + ((entry - 1) << 2))
        if (load<i32>(text) == length && equalBytes(text + 4, p + 4, length)) break
      }
      slot = (slot + 1) & l.tableMask
    }
    store<i32>(to, entry - 1)
    to += 4
    p += 4 + length
  }
  return true
}

/** Makes the string whose length is at `p` an entry, to be found in the empty slot; returns its index + 1. */
function addText(l: Leaf, p: usize, length: i32, hash: i32, slot: i32): i32 {
  roomForEntry(l, length + 4)
  if (l.entries >= l.offsetRoom) {
    l.offsets = resize(l.offsets, 4 * l.entries, 8 * l.offsetRoom)
    l.offsetRoom *= 2
  }
  copyBytes(l.entryData + l.entryBytes, p, length + 4)
  store<i32>(l.offsets + 4 * l.entries, l.entryBytes)
  l.entryBytes += length + 4
  const entry = ++l.entries
  putSlot(l, slot, hash, entry)
  if (entry * 2 > l.tableMask) growTextTable(l)
  return entry
}

@inline function putSlot(l: Leaf, slot: i32, hash: i32, entry: i32): void {
  const at = l.table + (<usize>slot << 3)
  store<i32>(at, hash)
  store<i32>(at, entry, 4)
}

function roomForEntry(l: Leaf, bytes: i32): void {
  if (l.entryBytes + bytes <= l.entryRoom) return
  l.entryRoom = max(l.entryRoom * 2, l.entryBytes + bytes)
  l.entryData = resize(l.entryData, l.entryBytes, l.entryRoom)
}

/** A table of twice the size, still empty. */
function growTable(l: Leaf): void {
  free(l.table)
  const slots = (l.tableMask + 1) * 2
  l.table = allocZeroed(slotBytes(l) * slots)
  l.tableMask = slots - 1
}

function growTextTable(l: Leaf): void {
  growTable(l)
  for (let i = 0; i < l.entries; i++) {
    const text = l.entryData + load<i32>(l.offsets + 4 * i)
    const hash = hashBytes(text + 4, load<i32>(text))
    let slot = hash & l.tableMask
    while (load<i32>(l.table + (<usize>slot << 3), 4)) slot = (slot + 1) & l.tableMask
    putSlot(l, slot, hash, i + 1)
  }
}
