import { alloc, allocZeroed, free, resize } from './memory'
import { equalBytes, hashBytes } from './node'
import { copyBytes, DICTIONARY_BYTES, Leaf } from './leaf'
import { State } from './state'

/**
 * When a dictionary is given up: at 2,048 entries if nearly every value was new, from 16,384 on unless a value comes
 * eight times, since the wider indexes then cost more than compression saves.
 */
const FIRST_TRIAL = 2048
const SECOND_TRIAL = 16384

function doesNotPay(l: Leaf): bool {
  if (l.entryBytes > DICTIONARY_BYTES) return true
  if (l.entries == FIRST_TRIAL) return l.written + l.count < FIRST_TRIAL + FIRST_TRIAL / 20
  return l.entries >= SECOND_TRIAL && <i64>l.entries * 8 > l.written + l.count
}

export function newDictionary(l: Leaf): void {
  l.indexRoom = 1024
  l.indexes = alloc(4 * l.indexRoom)
  l.entryRoom = 1024
  l.entryData = alloc(l.entryRoom)
  l.offsetRoom = 256
  l.offsets = alloc(4 * l.offsetRoom)
  l.tableMask = 511
  l.table = allocZeroed(8 * 512)
}

/** Empties the dictionary for a new column chunk. */
export function clearDictionary(l: Leaf): void {
  l.entries = 0
  l.entryBytes = 0
  l.dictionaryPages = 0
  l.markEntries = 0
  l.markEntryBytes = 0
  if (l.table) memory.fill(l.table, 0, 8 * (l.tableMask + 1))
}

@inline function addIndex(l: Leaf, index: i32): void {
  const n = l.count
  if (n >= l.indexRoom) growIndexes(l)
  store<i32>(l.indexes + (<usize>n << 2), index)
  l.count = n + 1
}

function growIndexes(l: Leaf): void {
  l.indexes = resize(l.indexes, 4 * l.count, 8 * l.indexRoom)
  l.indexRoom *= 2
}

@inline function hashWord(bits: i64): u32 {
  const x = <u64>bits * 0x9e3779b97f4a7c15
  return <u32>(x >> 32)
}

/** Adds the index of a number, which becomes an entry when it is new. */
@inline export function dictionaryWord(l: Leaf, bits: i64): void {
  const hash = hashWord(bits)
  const width = l.width
  let slot = hash & l.tableMask
  while (true) {
    const entry = load<i32>(l.table + (<usize>slot << 3))
    if (entry == 0) return newWord(l, bits, hash)
    const at = l.entryData + (entry - 1) * width
    if (width == 4 ? load<i32>(at) == <i32>bits : load<i64>(at) == bits) return addIndex(l, entry - 1)
    slot = (slot + 1) & l.tableMask
  }
}

function newWord(l: Leaf, bits: i64, hash: u32): void {
  roomForEntry(l, 8)
  const at = l.entryData + l.entryBytes
  if (l.width == 4) store<i32>(at, <i32>bits)
  else store<i64>(at, bits)
  l.entryBytes += l.width
  insert(l, hash)
}

/** Adds the index of a string, which becomes an entry when it is new. */
@inline export function dictionaryBytes(l: Leaf, p: usize, length: i32): void {
  const hash = <u32>hashBytes(p, length)
  let slot = hash & l.tableMask
  while (true) {
    const at = l.table + (<usize>slot << 3)
    const entry = load<i32>(at)
    if (entry == 0) return newBytes(l, p, length, hash)
    if (load<u32>(at, 4) == hash) {
      const text = l.entryData + load<i32>(l.offsets + ((entry - 1) << 2))
      if (load<i32>(text) == length && equalBytes(text + 4, p, length)) return addIndex(l, entry - 1)
    }
    slot = (slot + 1) & l.tableMask
  }
}

function newBytes(l: Leaf, p: usize, length: i32, hash: u32): void {
  roomForEntry(l, length + 4)
  const at = l.entryData + l.entryBytes
  store<i32>(at, length)
  copyBytes(at + 4, p, length)
  store<i32>(l.offsets + 4 * l.entries, l.entryBytes)
  l.entryBytes += length + 4
  insert(l, hash)
}

function roomForEntry(l: Leaf, bytes: i32): void {
  if (l.entryBytes + bytes > l.entryRoom) {
    l.entryRoom = max(l.entryRoom * 2, l.entryBytes + bytes)
    l.entryData = resize(l.entryData, l.entryBytes, l.entryRoom)
  }
  if (l.entries >= l.offsetRoom) {
    l.offsets = resize(l.offsets, 4 * l.entries, 8 * l.offsetRoom)
    l.offsetRoom *= 2
  }
}

function insert(l: Leaf, hash: u32): void {
  if (l.entries * 2 > l.tableMask) growTable(l)
  const slot = emptySlot(l, hash)
  l.entries++
  store<i32>(slot, l.entries)
  store<u32>(slot, hash, 4)
  addIndex(l, l.entries - 1)
  if (doesNotPay(l)) {
    l.giveUp = true
    State.due = true
  }
}

function emptySlot(l: Leaf, hash: u32): usize {
  let slot = hash & l.tableMask
  while (load<i32>(l.table + (<usize>slot << 3))) slot = (slot + 1) & l.tableMask
  return l.table + (<usize>slot << 3)
}

function hashOf(l: Leaf, entry: i32): u32 {
  if (l.width == 4) return hashWord(<i64>load<i32>(l.entryData + 4 * entry))
  if (l.width == 8) return hashWord(load<i64>(l.entryData + 8 * entry))
  const at = l.entryData + load<i32>(l.offsets + 4 * entry)
  return hashBytes(at + 4, load<i32>(at))
}

/** Doubles the table, inserting in the order of the entries: `forgetEntries` counts on that order. */
function growTable(l: Leaf): void {
  const size = (l.tableMask + 1) * 2
  free(l.table)
  l.table = allocZeroed(8 * size)
  l.tableMask = size - 1
  for (let i = 0; i < l.entries; i++) {
    const hash = hashOf(l, i)
    const slot = emptySlot(l, hash)
    store<i32>(slot, i + 1)
    store<u32>(slot, hash, 4)
  }
}

/** Takes back the newest entries: later ones never stand in front of earlier ones in the table. */
export function forgetEntries(l: Leaf, keep: i32): void {
  while (l.entries > keep) {
    let slot = hashOf(l, l.entries - 1) & l.tableMask
    while (load<i32>(l.table + (<usize>slot << 3)) != l.entries) slot = (slot + 1) & l.tableMask
    store<u64>(l.table + (<usize>slot << 3), 0)
    l.entries--
  }
}
