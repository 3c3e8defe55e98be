import { holdsInvalid, Input, passInvalid, skipByteOrderMark } from './input'
import { readStruct, readStructCarefully } from './json-values'
import { lineEnd, skipValue, space } from './lexer'
import { Nodes } from './node'
import { acceptRecord, beginRecord, NEEDS_INPUT, Records, rejectInvalid, rejectRecord, rejectUnread, undo } from './records'
import * as S from './state'
import { fail, kindAt, State } from './state'
import { beginTurn, endTurn, isTooLong } from './turn'

/** Where the reader stands between records. */
const TOP = 0
const ARRAY_BEGUN = 1
const AFTER_ELEMENT = 2
const AFTER_COMMA = 3
/** An array broke in its grammar: where its next element begins cannot be known, so the rest is passed over. */
const BROKEN = 4
/** The line grew beyond the limit of a record: it is passed over up to its end. */
const LONG_LINE = 5

let place: i32 = TOP
export function openJson(): void {
  place = TOP
}

/** Tokens that the end of input can cut show their fault at most this far before it. */
const CUT = 16

/**
 * Reads records from the input until it is used up or a page must be written. `final`: no more bytes will come, so a
 * record that is not complete is malformed.
 */
export function readJson<W>(final: bool): i32 {
  if (!beginTurn(final)) return NEEDS_INPUT
  let p = Input.at + Input.position
  const end = State.end
  if (Input.atStart) {
    p = skipByteOrderMark(p, final)
    if (p == 0) return NEEDS_INPUT
  }
  while (p < end) {
    const c = load<u8>(p)
    if (c <= 0x20 && (c == 0x20 || c == 0x0a || c == 0x0d || c == 0x09)) {
      p++
      continue
    }
    if (State.due) break
    let next: usize
    if (place == TOP) {
      if (c == 0x5b) {
        place = ARRAY_BEGUN
        State.multiline = true
        p++
        continue
      }
      next = readLine<W>(p, end, final)
    } else if (place == BROKEN) next = end
    else if (place == LONG_LINE) next = passLine(p, end)
    else next = readElement<W>(p, end, final)
    if (next == 0) break
    p = next
  }
  const result = endTurn(p)
  if (isTooLong(result, final)) rejectLong(p, end)
  if (final && result == NEEDS_INPUT && place >= ARRAY_BEGUN && place <= AFTER_COMMA) {
    fail(S.MALFORMED, end, 0, S.GOT_END)
    rejectRecord(end, end)
    place = TOP
  }
  return result
}

/** A record of NDJSON: one line. Returns the place after it, or 0 when it is not complete. */
function readLine<W>(start: usize, end: usize, final: bool): usize {
  State.multiline = false
  beginRecord()
  let p = readStruct<W>(Nodes.root, start, 0)
  if (!State.failed) {
    p = space(p)
    if (load<u8>(p) == 0x0a || (final && p == end)) {
      if (!holdsInvalid(p)) {
        if (p - start > <usize>Records.maxBytes) return rejectLarge<W>(start, p)
        acceptRecord<W>()
        return p
      }
      undo<W>()
      return rejectInvalid(start, p, final)
    }
    fail(S.MALFORMED, p, 0, kindAt(p))
  }
  undo<W>()
  const stop = lineEnd(start, end)
  if (stop == end && !final) return 0
  if (holdsInvalid(stop)) return rejectInvalid(start, stop, final)
  return readAgain<W>(start, stop, stop)
}

/** Reads a failed record once more, carefully: for the last of equal keys to win, and for the right reason. */
function readAgain<W>(start: usize, stop: usize, next: usize): usize {
  // A wrong type before broken grammar is a broken record: no type of it can be trusted.
  beginRecord()
  const after = space(skipValue(start))
  const whole = !State.failed && after >= stop
  // As a line of its own: what lies behind it must not be read as part of it.
  beginRecord()
  State.careful = true
  let p = start
  if (load<u8>(start) == 0x7b) p = readStructCarefully<W>(Nodes.root, start, 0)
  else {
    p = skipValue(start)
    if (!State.failed && space(p) >= stop) fail(S.WRONG_TYPE, start, 0, kindAt(start))
  }
  State.careful = false
  if (!State.failed) {
    p = space(p)
    if (p < stop) fail(S.MALFORMED, p, 0, kindAt(p))
  } else if (!whole && State.failed != S.MALFORMED) {
    State.failed = 0
    p = space(skipValue(start))
    if (!State.failed) fail(S.MALFORMED, p, 0, kindAt(p))
  }
  if (State.failed) {
    undo<W>()
    rejectRecord(start, stop)
  } else acceptRecord<W>()
  return next
}

/** From one element of an array to the next. Returns the place after, or 0 when it is not complete. */
function readElement<W>(p: usize, end: usize, final: bool): usize {
  const c = load<u8>(p)
  if (c == 0x5d && place != AFTER_COMMA) {
    place = TOP
    return p + 1
  }
  if (place == AFTER_ELEMENT) {
    if (c != 0x2c) return breakArray(p, end)
    place = AFTER_COMMA
    return p + 1
  }
  State.multiline = true
  beginRecord()
  const after = readStruct<W>(Nodes.root, p, 0)
  if (!State.failed) {
    if (holdsInvalid(after)) {
      undo<W>()
      rejectInvalid(p, after, final)
    } else if (after - p > <usize>Records.maxBytes) rejectLarge<W>(p, after)
    else acceptRecord<W>()
    place = AFTER_ELEMENT
    return after
  }
  undo<W>()
  State.failed = 0
  const stop = skipValue(p)
  if (State.failed) {
    if (!final && State.failedAt + CUT >= end) return 0
    if (State.failed == S.TOO_DEEP) {
      rejectRecord(p, end)
      place = BROKEN
      return end
    }
    return breakArray(p, end)
  }
  // A number at the end may go on in the next chunk.
  if (stop == end && !final) return 0
  place = AFTER_ELEMENT
  if (holdsInvalid(stop)) return rejectInvalid(p, stop, final)
  return readAgain<W>(p, stop, stop)
}

/** The rest of the input becomes one rejection. */
function breakArray(p: usize, end: usize): usize {
  if (!State.failed) fail(S.MALFORMED, p, 0, kindAt(p))
  State.failed = S.MALFORMED
  rejectRecord(p, end)
  place = BROKEN
  return end
}

function rejectLong(p: usize, end: usize): void {
  rejectUnread(p, end)
  place = place == TOP ? LONG_LINE : BROKEN
}

function rejectLarge<W>(start: usize, end: usize): usize {
  undo<W>()
  fail(S.TOO_LARGE, start, 0, S.GOT_LARGE_RECORD)
  rejectRecord(start, end)
  return end
}

/** Passes over the rest of a line that was too long. */
function passLine(p: usize, end: usize): usize {
  const stop = lineEnd(p, end)
  if (stop < end) place = TOP
  if (holdsInvalid(stop)) passInvalid(stop, false)
  return stop
}
