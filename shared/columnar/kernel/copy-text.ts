import { Input } from './input'
import { lineEnd, endText, putCodePoint, Text } from './lexer'
import { Moment, readDate } from './dates'
import { putNumber, putWord } from './leaf-values'
import { childOf, LEAF, Node, Nodes } from './node'
import { Lax, Num, readNumber } from './numbers'
import { beginRecord, NEEDS_INPUT } from './records'
import * as S from './state'
import { fail, State } from './state'
import { readField, readNullField } from './text-fields'
import { acceptLine, beginTurn, endLines, inLongLine, passLongLine, rejectLine } from './turn'
import { invalidUtf8 } from './utf8'

/** PostgreSQL COPY in text format (PostgreSQL manual, COPY, "Text Format"): a line a row, tabs between its columns. */

export function readCopy<W>(final: bool): i32 {
  if (!beginTurn(final)) return NEEDS_INPUT
  let p = Input.at + Input.position
  const end = State.end
  while (p < end && !State.due) {
    const next = inLongLine() ? passLongLine(p, end) : readCopyLine<W>(p, end, final)
    if (next == 0) break
    p = next
  }
  return endLines(p, end, final)
}

/** The first tab, line feed, backslash or zero at or after `p`. Zeros follow the input. */
@inline function fieldEnd(p: usize): usize {
  const tab = i8x16.splat(0x09)
  const feed = i8x16.splat(0x0a)
  const backslash = i8x16.splat(0x5c)
  const zero = i8x16.splat(0)
  while (true) {
    const v = v128.load(p)
    const stop = v128.or(
      v128.or(i8x16.eq(v, tab), i8x16.eq(v, feed)),
      v128.or(i8x16.eq(v, backslash), i8x16.eq(v, zero)),
    )
    const mask = i8x16.bitmask(stop)
    if (mask) return p + ctz<i32>(mask)
    p += 16
  }
}

/** Reads one row. Returns the place after it, or 0 when it is not complete. */
function readCopyLine<W>(start: usize, end: usize, final: bool): usize {
  beginRecord()
  // The end-of-data mark of COPY in files.
  if (load<u16>(start) == 0x2e5c && (load<u8>(start, 2) == 0x0a || start + 2 == end)) {
    if (start + 2 == end && !final) return 0
    return min(start + 3, end)
  }
  const next = acceptLine<W>(start, readColumns<W>(start), end, final)
  return next ? next : rejectLine<W>(start, lineEnd(start, end), end, final)
}

@inline function endsField(p: usize): bool {
  const c = load<u8>(p)
  return c == 0x09 || c == 0x0a
}

/**
 * Reads a number or a date that fills the field at `p`, whose end is not known yet: it is where the digits end. Returns
 * that place, or 0 when the field is something else.
 */
@inline function readDigits<W>(column: Node, p: usize): usize {
  if (column.kind != LEAF) return 0
  const type = column.leaf.type
  if (type == S.DATE) {
    const end = p + 10
    if (!endsField(end) || !readDate(p, end) || Moment.end != end || Moment.outOfRange) return 0
    putWord<W>(column, Moment.value, 0)
    return end
  }
  if ((type < S.BYTE || type > S.DOUBLE) && type != S.DECIMAL) return 0
  if (!readNumber<Lax>(p) || !endsField(Num.end)) return 0
  const end = Num.end
  putNumber<W>(column, 0)
  return end
}

/** Returns the place of the line feed, or of the end of input. */
function readColumns<W>(p: usize): usize {
  const root = Nodes.root
  const count = root.childCount
  for (let i = 0; i < count; i++) {
    const column = childOf(root, i)
    let stop = readDigits<W>(column, p)
    const done = stop != 0
    if (!done) stop = fieldEnd(p)
    let c = load<u8>(stop)
    if (done) {
      // Nothing is left to read.
    } else if (c == 0x5c) {
      const after = load<u8>(p + 2)
      if (stop == p && load<u8>(p + 1) == 0x4e && (after == 0x09 || after == 0x0a || p + 2 == State.end)) {
        readNullField<W>(column)
        stop = p + 2
      } else {
        stop = unescapeCopy(p)
        if (!State.failed) readField<W>(column, Text.at, Text.at + Text.length)
      }
      c = load<u8>(stop)
    } else readField<W>(column, p, stop)
    if (State.failed) return stop
    if (c == 0x09) {
      if (i == count - 1) return fail(S.MALFORMED, stop, 0, S.GOT_MORE_COLUMNS)
    } else {
      if (c != 0x0a && stop < State.end) return fail(S.MALFORMED, stop, 0, S.GOT_UNEXPECTED)
      if (i < count - 1) return fail(S.MALFORMED, stop, 0, S.GOT_FEWER_COLUMNS)
    }
    p = stop + 1
  }
  return p - 1
}

@inline function octal(p: usize): u32 {
  return <u32>load<u8>(p) - 0x30
}

function hexDigit(c: u32): i32 {
  if (c - 0x30 <= 9) return c - 0x30
  const letter = (c | 0x20) - 0x61
  return letter <= 5 ? letter + 10 : -1
}

/** Resolves the backslashes of the field at `p` into Text; returns the place of the tab or line feed behind it. */
function unescapeCopy(p: usize): usize {
  let to = Text.at
  let byBytes = false
  while (true) {
    const stop = fieldEnd(p)
    memory.copy(to, p, stop - p)
    to += stop - p
    p = stop
    if (load<u8>(p) != 0x5c || p >= State.end) break
    // What the backslash stands for has not come: behind the input there are only zeros.
    if (p + 1 == State.end) return fail(S.MALFORMED, State.end, 0, S.GOT_END)
    const c = <u32>load<u8>(p + 1)
    p += 2
    if (c == 0x6e) store<u8>(to++, 10)
    else if (c == 0x74) store<u8>(to++, 9)
    else if (c == 0x72) store<u8>(to++, 13)
    else if (c == 0x62) store<u8>(to++, 8)
    else if (c == 0x66) store<u8>(to++, 12)
    else if (c == 0x76) store<u8>(to++, 11)
    else if (c - 0x30 < 8) {
      let value = c - 0x30
      if (octal(p) < 8) value = value * 8 + octal(p++)
      if (octal(p) < 8) value = value * 8 + octal(p++)
      byBytes = true
      store<u8>(to++, value)
    } else if (c == 0x78 && hexDigit(load<u8>(p)) >= 0) {
      let value = hexDigit(load<u8>(p++))
      if (hexDigit(load<u8>(p)) >= 0) value = value * 16 + hexDigit(load<u8>(p++))
      byBytes = true
      store<u8>(to++, value)
    } else store<u8>(to++, c)
  }
  endText(<i32>(to - Text.at))
  // Bytes written by their numbers need not be text.
  if (byBytes && invalidUtf8(Text.at, to) < to) return fail(S.MALFORMED, p, 0, S.GOT_INVALID_UTF8)
  return p
}
