import { alloc, allocZeroed, free, resize } from './memory'
import { skipKey, skipString, skipValue, space, stringEnd, Text, unescape } from './lexer'
import { equalBytes, hashBytes } from './node'

/** Hashes of the keys of the maps that are open, the innermost last. */
let hashes: usize = 0
let room: i32 = 0
let count: i32 = 0

export function openKeys(): void {
  room = 256
  count = 0
  hashes = alloc(4 * room)
}

export function clearKeys(): void {
  count = 0
}

/** Opens a map: pass what this returns to the functions below. */
export function beginKeys(): i32 {
  return count
}

/** Notes the key whose quote is at `p`. */
export function noteKey(p: usize): void {
  if (count == room) {
    hashes = resize(hashes, 4 * room, 8 * room)
    room *= 2
  }
  const stop = stringEnd(p + 1)
  let hash: i32
  if (load<u8>(stop) == 0x22) hash = hashBytes(p + 1, <i32>(stop - p - 1))
  else {
    unescape(p + 1)
    hash = hashBytes(Text.at, Text.length)
  }
  store<i32>(hashes + 4 * count++, hash)
}

export function dropKeys(begin: i32): void {
  count = begin
}

/** Whether two keys of the map may be equal. A false alarm costs time only. */
export function hasDuplicate(begin: i32): bool {
  const n = count - begin
  if (n <= 16) {
    for (let i = begin; i < count; i++) {
      const hash = load<i32>(hashes + 4 * i)
      for (let j = begin; j < i; j++) if (load<i32>(hashes + 4 * j) == hash) return true
    }
    return false
  }
  let size = 64
  while (size < 3 * n) size *= 2
  const table = allocZeroed(4 * size)
  let found = false
  for (let i = begin; i < count && !found; i++) {
    // Zero marks an empty slot, so the hash zero counts as one.
    const hash = load<i32>(hashes + 4 * i) | 1
    let slot = (hash >>> 1) & (size - 1)
    while (load<i32>(table + 4 * slot) && load<i32>(table + 4 * slot) != hash) slot = (slot + 1) & (size - 1)
    found = load<i32>(table + 4 * slot) == hash
    store<i32>(table + 4 * slot, hash)
  }
  free(table)
  return found
}

/** Whether the key at `keyAt`, whose value is at `p`, comes again in its map, which is well-formed. */
export function isRepeatedLater(keyAt: usize, p: usize): bool {
  let text = keyAt + 1
  let length = <i32>(stringEnd(text) - text)
  let copy: usize = 0
  if (load<u8>(text + length) != 0x22) {
    unescape(text)
    length = Text.length
    copy = alloc(length)
    memory.copy(copy, Text.at, length)
    text = copy
  }
  let repeated = false
  p = space(skipValue(p))
  while (!repeated && load<u8>(p) == 0x2c) {
    const other = space(p + 1) + 1
    const stop = stringEnd(other)
    if (load<u8>(stop) == 0x22) repeated = <i32>(stop - other) == length && equalBytes(other, text, length)
    else {
      unescape(other)
      repeated = Text.length == length && equalBytes(Text.at, text, length)
    }
    p = space(skipValue(skipKey(other - 1)))
  }
  if (copy) free(copy)
  return repeated
}
