import { decodeBase64, decodeHex } from './binary'
import { readValue, addNull } from './json-values'
import { addBytes, addLevel } from './leaf'
import { putBinary, putBoolean, putNumber, readDateText, readNonFinite, readTimestampText, readVariant, writes } from './leaf-values'
import { space, Text } from './lexer'
import { childOf, LEAF, LIST, Node } from './node'
import { Lax, Num, readNumber } from './numbers'
import * as S from './state'
import { fail, State } from './state'

/** Fields of COPY text and CSV: the text forms of PostgreSQL's types. */

/** A field that is null. */
export function readNullField<W>(node: Node): void {
  if (node.required) fail(S.MISSING, 0, node.id, S.GOT_NULL)
}

/**
 * Reads the text [p, end) of a field into a column. The byte at `end` is no part of any number or date. Arrays have
 * PostgreSQL's form `{a,"b",NULL}` and one dimension, or are JSON as structs, maps and variants are.
 */
export function readField<W>(node: Node, p: usize, end: usize): void {
  if (node.kind == LEAF) {
    if (node.leaf.type == S.VARIANT) readJsonField<W>(node, p, end, 0)
    else readLeafText<W>(node, p, end, 0)
  } else if (node.kind == LIST && childOf(node, 0).kind == LEAF && load<u8>(end - 1) == 0x7d) {
    readArray<W>(node, p, end)
  } else readJsonField<W>(node, p, end, 0)
}

/**
 * JSON inside a field. It is copied first: the escapes in it are resolved where the field itself may be. A variant that
 * is `null` is that text: the field has a null of its own.
 */
function readJsonField<W>(node: Node, p: usize, end: usize, repetition: i32): void {
  const length = end - p
  const from = Text.inner
  memory.copy(from, p, length)
  store<u64>(from + length, 0)
  store<u64>(from + length, 0, 8)
  const inputEnd = State.end
  State.end = from + length
  State.multiline = true
  const start = space(from)
  const variant = node.kind == LEAF && node.leaf.type == S.VARIANT
  const stop = space(variant ? readVariant<W>(node, start, repetition) : readValue<W>(node, start, repetition, 0))
  if (!State.failed && stop != State.end) fail(S.WRONG_TYPE, p, node.id, S.GOT_STRING)
  // The field, not the record, is ill-formed: the record still has the right fields.
  if (State.failed == S.MALFORMED) {
    State.failed = S.WRONG_TYPE
    State.failedNode = node.id
    State.failedGot = S.GOT_STRING
  }
  State.end = inputEnd
}

export function readLeafText<W>(node: Node, p: usize, end: usize, repetition: i32): void {
  const leaf = node.leaf
  const type = leaf.type
  if (type == S.STRING) {
    if (writes<W>()) {
      addLevel(leaf, repetition, node.present)
      addBytes(leaf, p, <i32>(end - p))
    }
  } else if (type == S.TIMESTAMP || type == S.TIMESTAMP_NTZ) {
    if (isInfinity(p, end)) fail(S.OUT_OF_RANGE, p, node.id, S.GOT_NON_FINITE)
    else readTimestampText<W>(node, p, end, repetition, endsInEra(p, end))
  } else if (type == S.DATE) {
    if (isInfinity(p, end)) fail(S.OUT_OF_RANGE, p, node.id, S.GOT_NON_FINITE)
    else readDateText<W>(node, p, end, repetition, endsInEra(p, end))
  } else if (type == S.BOOLEAN) readBooleanText<W>(node, p, end, repetition)
  else if (type == S.BINARY) {
    let length: i32
    if (end - p >= 2 && load<u16>(p) == 0x785c) length = decodeHex(p + 2, end, Text.bytes)
    else length = State.hexBinary ? decodeHex(p, end, Text.bytes) : decodeBase64(p, end, Text.bytes)
    putBinary<W>(node, length, repetition)
  } else if (readNumber<Lax>(p) && Num.end == end) putNumber<W>(node, repetition)
  else readNonFinite<W>(node, p, end, repetition)
}

@inline function endsInEra(p: usize, end: usize): bool {
  return load<u8>(end - 1) == 0x43 && end - p > 3
}

/** `infinity` or `-infinity`. */
function isInfinity(p: usize, end: usize): bool {
  if (load<u8>(p) == 0x2d) p++
  return end - p == 8 && load<u64>(p) == 0x7974696e69666e69
}

/** `t`, `true`, `1`, `f`, `false`, `0`, in either case. */
function readBooleanText<W>(node: Node, p: usize, end: usize, repetition: i32): void {
  const length = end - p
  const first = <i32>load<u8>(p)
  const letter = first | 0x20
  const word = load<u32>(p) | 0x20202020
  if (length == 1 && (letter == 0x74 || first == 0x31)) putBoolean<W>(node, 1, repetition)
  else if (length == 1 && (letter == 0x66 || first == 0x30)) putBoolean<W>(node, 0, repetition)
  else if (length == 4 && word == 0x65757274) putBoolean<W>(node, 1, repetition)
  else if (length == 5 && word == 0x736c6166 && (load<u8>(p, 4) | 0x20) == 0x65) putBoolean<W>(node, 0, repetition)
  else fail(S.WRONG_TYPE, p, node.id, S.GOT_STRING)
}

/** PostgreSQL manual, "Array Input and Output Syntax". */
function readArray<W>(node: Node, p: usize, end: usize): void {
  // Bounds other than one are written in front: "[0:2]={...}".
  if (load<u8>(p) == 0x5b) while (p < end && load<u8>(p - 1) != 0x3d) p++
  if (p >= end || load<u8>(p) != 0x7b || load<u8>(end - 1) != 0x7d) {
    fail(S.WRONG_TYPE, p, node.id, S.GOT_STRING)
    return
  }
  const element = childOf(node, 0)
  if (++p == end - 1) {
    if (writes<W>()) addNull(element, 0, node.present)
    return
  }
  let repetition = 0
  while (!State.failed) {
    const start = p
    if (load<u8>(p) == 0x7b) {
      // A second dimension.
      fail(S.WRONG_TYPE, p, element.id, S.GOT_ARRAY)
      return
    }
    let to = Text.inner
    const quoted = load<u8>(p) == 0x22
    if (quoted) p++
    while (p < end) {
      let c = load<u8>(p)
      if (quoted ? c == 0x22 : c == 0x2c || c == 0x7d) break
      if (c == 0x5c) c = load<u8>(++p)
      store<u8>(to++, c)
      p++
    }
    if (quoted) p++
    const length = <i32>(to - Text.inner)
    if (p >= end || (!quoted && length == 0)) {
      fail(S.WRONG_TYPE, p, node.id, S.GOT_STRING)
      return
    }
    store<u64>(to, 0)
    store<u64>(to, 0, 8)
    if (!quoted && p - start == 4 && (load<u32>(start) | 0x20202020) == 0x6c6c756e) {
      if (element.required) fail(S.MISSING, p, element.id, S.GOT_NULL)
      else if (writes<W>()) addNull(element, repetition, node.present + 1)
    } else if (element.leaf.type == S.VARIANT) readJsonField<W>(element, Text.inner, to, repetition)
    else readLeafText<W>(element, Text.inner, to, repetition)
    repetition = node.repetition
    const c = load<u8>(p)
    if (c == 0x7d && p == end - 1) return
    if (c != 0x2c) fail(S.WRONG_TYPE, p, node.id, S.GOT_STRING)
    p++
  }
}
