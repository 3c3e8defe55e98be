import { addLevel } from './leaf'
import { mismatch, readLeaf, readText, writes } from './leaf-values'
import { NULL_WORD, skipKey, skipString, skipValue, space, stringEnd, Text, unescape } from './lexer'
import { beginKeys, dropKeys, hasDuplicate, isRepeatedLater, noteKey } from './map-keys'
import { childOf, findChild, isKey, LEAF, LIST, Node, Nodes, STRUCT } from './node'
import { addRescued } from './rescue'
import * as S from './state'
import { fail, kindAt, State } from './state'

/** Adds a null, or an empty list, at this definition level to every leaf below. */
export function addNull(node: Node, repetition: i32, definition: i32): void {
  // The leaf catches up with this one by itself.
  if (repetition == 0 && definition == 0) return
  if (node.kind == LEAF) {
    addLevel(node.leaf, repetition, definition)
    return
  }
  for (let i = 0; i < node.childCount; i++) addNull(childOf(node, i), repetition, definition)
}

/**
 * Reads the value at `p` into a node whose nearest present ancestor has the definition level `outer`; returns the
 * place after it. A failure is left in State.
 */
export function readValue<W>(node: Node, p: usize, repetition: i32, outer: i32): usize {
  if (load<u8>(p) == 0x6e) {
    if (load<u32>(p) != NULL_WORD) return fail(S.MALFORMED, p, node.id, kindAt(p))
    if (node.required) return fail(S.MISSING, p, node.id, S.GOT_NULL)
    if (writes<W>()) addNull(node, repetition, outer)
    return p + 4
  }
  if (node.kind == LEAF) return readLeaf<W>(node, p, repetition)
  if (node.kind == STRUCT) {
    return State.careful ? readStructCarefully<W>(node, p, repetition) : readStruct<W>(node, p, repetition)
  }
  return node.kind == LIST ? readList<W>(node, p, repetition) : readMap<W>(node, p, repetition)
}

function readList<W>(node: Node, p: usize, repetition: i32): usize {
  if (load<u8>(p) != 0x5b) return mismatch(node, p)
  p = space(p + 1)
  const element = childOf(node, 0)
  if (load<u8>(p) == 0x5d) {
    if (writes<W>()) addNull(element, repetition, node.present)
    return p + 1
  }
  node.index = 0
  while (true) {
    p = readValue<W>(element, p, repetition, node.present + 1)
    if (State.failed) return p
    repetition = node.repetition
    p = space(p)
    const c = load<u8>(p)
    if (c == 0x5d) return p + 1
    if (c != 0x2c) return fail(S.MALFORMED, p, node.id, kindAt(p))
    p = space(p + 1)
    node.index++
  }
}

/** An object whose keys are values. Of equal keys the last one counts, as in an object with fields. */
function readMap<W>(node: Node, p: usize, repetition: i32): usize {
  if (load<u8>(p) != 0x7b) return mismatch(node, p)
  const key = childOf(node, 0)
  const value = childOf(node, 1)
  p = space(p + 1)
  if (load<u8>(p) == 0x7d) {
    if (writes<W>()) {
      addNull(key, repetition, node.present)
      addNull(value, repetition, node.present)
    }
    return p + 1
  }
  node.index = 0
  const keys = beginKeys()
  while (true) {
    const keyAt = p
    p = skipKey(p)
    if (State.failed) return p
    noteKey(keyAt)
    if (State.careful && isRepeatedLater(keyAt, p)) p = skipValue(p)
    else {
      readMapKey<W>(key, keyAt, repetition)
      if (State.failed) return p
      p = readValue<W>(value, p, repetition, node.present + 1)
      repetition = node.repetition
    }
    if (State.failed) return p
    p = space(p)
    const c = load<u8>(p)
    if (c == 0x7d) break
    if (c != 0x2c) return fail(S.MALFORMED, p, node.id, kindAt(p))
    p = space(p + 1)
    node.index++
  }
  if (!State.careful && hasDuplicate(keys)) return fail(S.DUPLICATE, p, node.id, S.GOT_OBJECT)
  dropKeys(keys)
  return p + 1
}

/** A key is text: of a string, or of the number, date... that the key type wants. */
function readMapKey<W>(key: Node, p: usize, repetition: i32): void {
  const type = key.leaf.type
  if (type == S.STRING) {
    readLeaf<W>(key, p, repetition)
    return
  }
  const stop = stringEnd(p + 1)
  if (load<u8>(stop) == 0x22) readText<W>(key, p + 1, stop, repetition)
  else {
    unescape(p + 1)
    readText<W>(key, Text.at, Text.at + Text.length, repetition)
  }
}

/**
 * Reads an object. Producers repeat the order of keys: while each field comes right after the one before it in the
 * schema, none can be missing or come twice, and nothing has to be noted. A value that does not fit fails the record,
 * but reading goes on behind it: one look at the end costs less than one after each value.
 */
export function readStruct<W>(node: Node, p: usize, repetition: i32): usize {
  if (load<u8>(p) != 0x7b) return mismatch(node, p)
  const count = node.childCount
  p = space(p + 1)
  if (load<u8>(p) == 0x7d) return readFields<W>(node, p, repetition, 0, true)
  let next = 0
  while (next < count) {
    const child = childOf(node, next)
    if (!isKey(p, child)) break
    p = space(p + child.keyLength)
    // In place instead of by a call: validation takes 0.95, writing lineitem 0.97 of the time.
    if (child.kind == LEAF && load<u8>(p) != 0x6e) p = readLeaf<W>(child, p, repetition)
    else p = readValue<W>(child, p, repetition, node.present)
    next++
    p = space(p)
    const c = load<u8>(p)
    if (c == 0x2c) {
      p = space(p + 1)
      continue
    }
    if (c != 0x7d) return fail(S.MALFORMED, p, node.id, kindAt(p))
    return next == count ? p + 1 : readFields<W>(node, p, repetition, next, true)
  }
  return readFields<W>(node, p, repetition, next, false)
}

/** Reads fields in any order, the first `next` of the schema having been read, from the key at `p`; or ends the object. */
function readFields<W>(node: Node, p: usize, repetition: i32, next: i32, ended: bool): usize {
  if (State.failed) return p
  const instance = ++Nodes.instance
  const count = node.childCount
  let seen = next
  let required = 0
  for (let i = 0; i < next; i++) {
    childOf(node, i).seen = instance
    required += <i32>childOf(node, i).required
  }
  while (!ended) {
    let child = childOf(node, next)
    if (next < count && isKey(p, child)) p += child.keyLength
    else {
      if (load<u8>(p) != 0x22) return fail(S.MALFORMED, p, node.id, kindAt(p))
      const keyAt = p
      p = skipString(p + 1)
      if (State.failed) return p
      const found = findKey(node, keyAt + 1, p - 1)
      if (found < 0) {
        p = readUnknown<W>(node, keyAt, p)
        if (State.failed) return p
        p = space(p)
        const after = load<u8>(p)
        if (after == 0x7d) break
        if (after != 0x2c) return fail(S.MALFORMED, p, node.id, kindAt(p))
        p = space(p + 1)
        continue
      }
      next = found
      child = childOf(node, found)
      p = space(p)
      if (load<u8>(p) != 0x3a) return fail(S.MALFORMED, p, node.id, kindAt(p))
      p++
    }
    next++
    if (child.seen == instance) return fail(S.DUPLICATE, p, node.id, S.GOT_OBJECT)
    child.seen = instance
    seen++
    required += <i32>child.required
    p = readValue<W>(child, space(p), repetition, node.present)
    if (State.failed) return p
    p = space(p)
    const c = load<u8>(p)
    if (c == 0x2c) p = space(p + 1)
    else if (c == 0x7d) ended = true
    else return fail(S.MALFORMED, p, node.id, kindAt(p))
  }
  if (required < node.requiredCount) return failMissing(node, p, instance)
  if (writes<W>()) if (seen < count) addMissing(node, instance, repetition)
  return p + 1
}

/** The child that the key [p, end) names, escapes and all, or -1. */
function findKey(node: Node, p: usize, end: usize): i32 {
  if (stringEnd(p) == end) return findChild(node, p, <i32>(end - p))
  unescape(p)
  return findChild(node, Text.at, Text.length)
}

/** A field the schema does not have: `p` is behind its key. Returns the place after its value. */
function readUnknown<W>(node: Node, keyAt: usize, p: usize): usize {
  const keyEnd = p - 1
  p = space(p)
  if (load<u8>(p) != 0x3a) return fail(S.MALFORMED, p, node.id, kindAt(p))
  p = space(p + 1)
  const end = skipValue(p)
  if (State.failed || State.unknown == S.UNKNOWN_IGNORE) return end
  if (State.unknown == S.UNKNOWN_REJECT) {
    State.unknownKey = keyAt + 1
    State.unknownKeyLength = <i32>(keyEnd - keyAt - 1)
    return fail(S.UNKNOWN_FIELD, keyAt, node.id, kindAt(p))
  }
  if (writes<W>()) addRescued(node, keyAt + 1, keyEnd, p, end)
  return end
}

function addMissing(node: Node, instance: u64, repetition: i32): void {
  if (repetition == 0 && node.present == 0) return
  for (let i = 0; i < node.childCount; i++) {
    const child = childOf(node, i)
    if (child.seen != instance) addNull(child, repetition, node.present)
  }
}

function failMissing(node: Node, p: usize, instance: u64): usize {
  for (let i = 0; i < node.childCount; i++) {
    const child = childOf(node, i)
    if (child.required && child.seen != instance) return fail(S.MISSING, p, child.id, S.GOT_NOTHING)
  }
  return p
}

/**
 * Reads an object in two passes: first its whole grammar, noting where the last value of each field is, then the
 * values. Used once a record has failed, so that the last of equal keys wins and bad grammar is told before bad types.
 */
export function readStructCarefully<W>(node: Node, p: usize, repetition: i32): usize {
  if (load<u8>(p) != 0x7b) return mismatch(node, p)
  const end = skipValue(p)
  if (State.failed) return end
  const instance = ++Nodes.instance
  p = space(p + 1)
  while (load<u8>(p) != 0x7d) {
    const keyAt = p
    p = skipString(p + 1)
    const found = findKey(node, keyAt + 1, p - 1)
    if (found < 0) {
      p = readUnknown<W>(node, keyAt, p)
      if (State.failed) return p
    } else {
      const child = childOf(node, found)
      p = space(space(p) + 1)
      child.seen = instance
      child.lastAt = p
      p = skipValue(p)
    }
    p = space(p)
    if (load<u8>(p) == 0x2c) p = space(p + 1)
  }
  for (let i = 0; i < node.childCount; i++) {
    const child = childOf(node, i)
    if (child.seen != instance) continue
    readValue<W>(child, child.lastAt, repetition, node.present)
    if (State.failed) return p
  }
  failMissing(node, p, instance)
  if (State.failed) return p
  if (writes<W>()) addMissing(node, instance, repetition)
  return end
}
