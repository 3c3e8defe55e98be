import { checkInput, holdsInvalid, Input, passInvalid } from './input'
import { lineEnd } from './lexer'
import { acceptRecord, NEEDS_INPUT, NEEDS_SERVICE, Records, rejectInvalid, rejectRecord, rejectUnread, undo } from './records'
import { fail, GOT_LARGE_RECORD, State, TOO_LARGE } from './state'

/**
 * A reader's turn: from the bytes the host has put until they are used up or a page must be written. The readers of
 * COPY text and CSV also share what a line is to them: a record, or the rest of one that was too long.
 */

/** Whether it is worth to read: an incomplete record is not read again before it has doubled. */
export function beginTurn(final: bool): bool {
  if (!final && Input.length - Input.position < Input.retryAt) return false
  checkInput(final)
  return true
}

/** Ends the turn at `p`; returns what the host is told. */
export function endTurn(p: usize): i32 {
  const result = State.due ? NEEDS_SERVICE : NEEDS_INPUT
  Input.position = <i32>(p - Input.at)
  Input.retryAt = State.due ? 0 : (Input.length - Input.position) * 2
  return result
}

/** Whether the incomplete record that is left has outgrown the limit. */
export function isTooLong(result: i32, final: bool): bool {
  return result == NEEDS_INPUT && !final && Input.length - Input.position > Records.maxBytes
}

let longLine: bool = false

export function openLines(): void {
  longLine = false
}

@inline export function inLongLine(): bool {
  return longLine
}

/** Passes over the rest of a line that was too long; returns the place after it. */
export function passLongLine(p: usize, end: usize): usize {
  const stop = lineEnd(p, end)
  longLine = stop == end
  if (holdsInvalid(stop)) passInvalid(stop, false)
  return min(stop + 1, end)
}

/** Ends the turn at `p`, and gives up the line there when it is too long. */
export function endLines(p: usize, end: usize, final: bool): i32 {
  const result = endTurn(p)
  if (isTooLong(result, final)) {
    rejectUnread(p, end)
    longLine = true
  }
  return result
}

/** Takes the record [start, stop) if it was read well; returns the place after it, or 0. */
@inline export function acceptLine<W>(start: usize, stop: usize, end: usize, final: bool): usize {
  if (State.failed || (stop == end && !final) || holdsInvalid(stop)) return 0
  if (stop - start > <usize>Records.maxBytes) {
    fail(TOO_LARGE, start, 0, GOT_LARGE_RECORD)
    return 0
  }
  acceptRecord<W>()
  return min(stop + 1, end)
}

/** Rejects the record [start, line) that was not taken; returns the place after it, or 0 when it is not complete. */
export function rejectLine<W>(start: usize, line: usize, end: usize, final: bool): usize {
  undo<W>()
  if (line == end && !final) return 0
  if (holdsInvalid(line)) rejectInvalid(start, line, final)
  else rejectRecord(start, line)
  return min(line + 1, end)
}
