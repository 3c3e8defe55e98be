import { alloc, free } from './memory'
import { fail, GOT_DEEP_NESTING, kindAt, MALFORMED, MAX_DEPTH, State, TOO_DEEP } from './state'

/** The first byte at or after `p` that is not white space (RFC 8259, "JSON Grammar"). */
@inline export function space(p: usize): usize {
  return load<u8>(p) > 0x20 ? p : spaces(p)
}

function spaces(p: usize): usize {
  while (true) {
    const c = load<u8>(p)
    if (c != 0x20 && c != 0x09 && c != 0x0d && !(c == 0x0a && State.multiline)) return p
    p++
  }
}

/** The first quote, backslash or control character at or after `p`. Always found: zero bytes follow the input. */
@inline export function stringEnd(p: usize): usize {
  const quote = i8x16.splat(0x22)
  const backslash = i8x16.splat(0x5c)
  const lastControl = i8x16.splat(0x1f)
  while (true) {
    const v = v128.load(p)
    const stop = v128.or(
      v128.or(i8x16.eq(v, quote), i8x16.eq(v, backslash)),
      i8x16.eq(i8x16.min_u(v, lastControl), v),
    )
    const mask = i8x16.bitmask(stop)
    if (mask) return p + ctz<i32>(mask)
    p += 16
  }
}

/**
 * Where text with its escapes resolved is put: `Text.at`, `Text.length`, followed by zero bytes. `Text.inner` holds
 * what is decoded out of such text, `Text.bytes` what binary text stands for; each is as large as the input buffer.
 */
export abstract class Text {
  static at: usize = 0
  static length: i32 = 0
  static inner: usize = 0
  static bytes: usize = 0
  static room: i32 = 0
}

/** Makes room for `bytes` of text. */
export function reserveText(bytes: i32): void {
  if (bytes <= Text.room) return
  if (Text.at) {
    free(Text.at)
    free(Text.inner)
    free(Text.bytes)
  }
  Text.room = bytes
  Text.at = alloc(bytes)
  Text.inner = alloc(bytes)
  Text.bytes = alloc(bytes)
}

/** Ends the text at `length`: number and date readers stop at the zero that follows. */
export function endText(length: i32): void {
  Text.length = length
  store<u64>(Text.at + length, 0)
  store<u64>(Text.at + length + 8, 0)
}

@inline function hexDigit(c: i32): i32 {
  if (<u32>(c - 0x30) <= 9) return c - 0x30
  const letter = (c | 0x20) - 0x61
  return <u32>letter <= 5 ? letter + 10 : -1
}

/** Four hexadecimal digits, or a negative number. */
function hex4(p: usize): i32 {
  const a = hexDigit(load<u8>(p))
  if (a < 0) return -1
  const b = hexDigit(load<u8>(p + 1))
  if (b < 0) return -1
  const c = hexDigit(load<u8>(p + 2))
  if (c < 0) return -1
  const d = hexDigit(load<u8>(p + 3))
  return d < 0 ? -1 : (a << 12) | (b << 8) | (c << 4) | d
}

export function putCodePoint(to: usize, u: i32): usize {
  if (u < 0x80) {
    store<u8>(to, u)
    return to + 1
  }
  if (u < 0x800) {
    store<u8>(to, 0xc0 | (u >> 6))
    store<u8>(to + 1, 0x80 | (u & 63))
    return to + 2
  }
  if (u < 0x10000) {
    store<u8>(to, 0xe0 | (u >> 12))
    store<u8>(to + 1, 0x80 | ((u >> 6) & 63))
    store<u8>(to + 2, 0x80 | (u & 63))
    return to + 3
  }
  store<u8>(to, 0xf0 | (u >> 18))
  store<u8>(to + 1, 0x80 | ((u >> 12) & 63))
  store<u8>(to + 2, 0x80 | ((u >> 6) & 63))
  store<u8>(to + 3, 0x80 | (u & 63))
  return to + 4
}

function simpleEscape(c: i32): i32 {
  if (c == 0x22 || c == 0x5c || c == 0x2f) return c
  if (c == 0x6e) return 10
  if (c == 0x74) return 9
  if (c == 0x72) return 13
  if (c == 0x62) return 8
  return c == 0x66 ? 12 : -1
}

/**
 * Resolves the escapes of the string whose first character is at `p` into `Text` and returns the place after its
 * closing quote. Half a surrogate pair becomes U+FFFD, as it has no UTF-8 form.
 */
export function unescape(p: usize): usize {
  // Text is never longer than its escaped form, and Text.room is at least the size of the input buffer.
  let to = Text.at
  while (true) {
    const v = v128.load(p)
    v128.store(to, v)
    const stop = stringEnd(p)
    const run = stop - p
    if (run > 16) memory.copy(to, p, run)
    to += run
    p = stop
    const c = load<u8>(p)
    if (c == 0x22) {
      endText(<i32>(to - Text.at))
      return p + 1
    }
    if (c != 0x5c) return fail(MALFORMED, p, 0, kindAt(p))
    const e = <i32>load<u8>(p + 1)
    if (e != 0x75) {
      const plain = simpleEscape(e)
      if (plain < 0) return fail(MALFORMED, p + 1, 0, kindAt(p + 1))
      store<u8>(to++, plain)
      p += 2
      continue
    }
    let u = hex4(p + 2)
    if (u < 0) return fail(MALFORMED, p + 2, 0, kindAt(p + 2))
    p += 6
    if (u >= 0xd800 && u < 0xe000) {
      let low = -1
      if (u < 0xdc00 && load<u16>(p) == 0x755c) low = hex4(p + 2)
      if (low >= 0xdc00 && low < 0xe000) {
        u = 0x10000 + ((u - 0xd800) << 10) + (low - 0xdc00)
        p += 6
      } else u = 0xfffd
    }
    to = putCodePoint(to, u)
  }
}

/** The place after the string whose first character is at `p`. */
@inline export function skipString(p: usize): usize {
  p = stringEnd(p)
  return load<u8>(p) == 0x22 ? p + 1 : skipEscapes(p)
}

function skipEscapes(p: usize): usize {
  while (true) {
    const c = load<u8>(p)
    if (c == 0x22) return p + 1
    if (c != 0x5c) return fail(MALFORMED, p, 0, kindAt(p))
    const e = <i32>load<u8>(p + 1)
    if (e == 0x75) {
      if (hex4(p + 2) < 0) return fail(MALFORMED, p + 2, 0, kindAt(p + 2))
      p += 6
    } else {
      if (simpleEscape(e) < 0) return fail(MALFORMED, p + 1, 0, kindAt(p + 1))
      p += 2
    }
    p = stringEnd(p)
  }
}

@inline function isDigit(p: usize): bool {
  return <u32>load<u8>(p) - 0x30 <= 9
}

/** The place after the number at `p` (RFC 8259, "Numbers"). */
export function skipNumber(p: usize): usize {
  if (load<u8>(p) == 0x2d) p++
  if (load<u8>(p) == 0x30) p++
  else {
    if (!isDigit(p)) return fail(MALFORMED, p, 0, kindAt(p))
    do p++
    while (isDigit(p))
  }
  if (load<u8>(p) == 0x2e) {
    p++
    if (!isDigit(p)) return fail(MALFORMED, p, 0, kindAt(p))
    do p++
    while (isDigit(p))
  }
  if ((load<u8>(p) | 0x20) == 0x65) {
    p++
    const sign = load<u8>(p)
    if (sign == 0x2b || sign == 0x2d) p++
    if (!isDigit(p)) return fail(MALFORMED, p, 0, kindAt(p))
    do p++
    while (isDigit(p))
  }
  return p
}

export const NULL_WORD: u32 = 0x6c6c756e
export const TRUE_WORD: u32 = 0x65757274
export const ALSE_WORD: u32 = 0x65736c61

/** One bit a level: whether the open container is an object. */
const containers: usize = memory.data(64)

@inline function isObject(depth: i32): bool {
  return (<i32>load<u8>(containers + (depth >> 3)) & (1 << (depth & 7))) != 0
}

function pushContainer(depth: i32, object: bool): void {
  const at = containers + (depth >> 3)
  const bit = 1 << (depth & 7)
  const old = <i32>load<u8>(at)
  store<u8>(at, object ? old | bit : old & ~bit)
}

/** The place after the value that begins at `p`, which is checked against the whole grammar. */
export function skipValue(p: usize): usize {
  let depth = 0
  while (true) {
    const c = load<u8>(p)
    if (c == 0x22) p = skipString(p + 1)
    else if (c == 0x7b || c == 0x5b) {
      if (depth == MAX_DEPTH) return fail(TOO_DEEP, p, 0, GOT_DEEP_NESTING)
      pushContainer(depth++, c == 0x7b)
      p = space(p + 1)
      // '}' is '{' + 2 and ']' is '[' + 2.
      if (load<u8>(p) == c + 2) {
        depth--
        p++
      } else {
        if (c == 0x7b) p = skipKey(p)
        if (State.failed) return p
        continue
      }
    } else if (c == 0x6e && load<u32>(p) == NULL_WORD) p += 4
    else if (c == 0x74 && load<u32>(p) == TRUE_WORD) p += 4
    else if (c == 0x66 && load<u32>(p + 1) == ALSE_WORD) p += 5
    else p = skipNumber(p)
    while (true) {
      if (State.failed) return p
      if (depth == 0) return p
      p = space(p)
      const object = isObject(depth - 1)
      const next = load<u8>(p)
      if (next == 0x2c) {
        p = space(p + 1)
        if (object) p = skipKey(p)
        if (State.failed) return p
        break
      }
      if (next != (object ? 0x7d : 0x5d)) return fail(MALFORMED, p, 0, kindAt(p))
      depth--
      p++
    }
  }
}

/** From the quote of a key to the value behind its colon. */
export function skipKey(p: usize): usize {
  if (load<u8>(p) != 0x22) return fail(MALFORMED, p, 0, kindAt(p))
  p = skipString(p + 1)
  if (State.failed) return p
  p = space(p)
  if (load<u8>(p) != 0x3a) return fail(MALFORMED, p, 0, kindAt(p))
  return space(p + 1)
}

/** The line feed at or after `p`, or `end`. */
export function lineEnd(p: usize, end: usize): usize {
  const feed = i8x16.splat(0x0a)
  while (p < end) {
    const mask = i8x16.bitmask(i8x16.eq(v128.load(p), feed))
    if (mask) return min(p + ctz<i32>(mask), end)
    p += 16
  }
  return end
}
