import { Input, passInvalid } from './input'
import { undoRecord } from './leaf'
import { Check, Write, writes } from './leaf-values'
import { clearKeys } from './map-keys'
import { leafAt, Node, Nodes } from './node'
import { clearRescue, writeRescued } from './rescue'
import { fail, GOT_INVALID_UTF8, GOT_LARGE_RECORD, MALFORMED, State, TOO_LARGE } from './state'

/** Called for every record that is left out: places are byte offsets into the input buffer. */
@external("host", "rejected")
declare function rejected(
  record: f64,
  start: usize,
  end: usize,
  node: i32,
  code: i32,
  got: i32,
  key: usize,
  keyLength: i32,
): void

/** What a parser returns to the host: it needs more input, or pages must be written before it can go on. */
export const NEEDS_INPUT = 0
export const NEEDS_SERVICE = 1

/**
 * After this many records the host looks whether the row group is full, though no page is: a table of many columns
 * can hold it all in open pages. A leaf that gets no values fills its page with levels all the same.
 */
const SERVICE_ROWS = 4096

export abstract class Records {
  /** Records read so far, good and bad. */
  static read: f64 = 0
  /** Bytes of the longest record accepted. */
  static maxBytes: i32 = 0
  static rescueColumn: Node | null = null
}

/** Counts the record that has been read well. */
@inline export function acceptRecord<W>(): void {
  if (writes<W>()) {
    const column = Records.rescueColumn
    if (column) writeRescued(column)
  }
  State.row++
  Records.read++
  if (writes<W>()) if ((State.row & (SERVICE_ROWS - 1)) == 0) State.due = true
}

/** Clears what the last record has left behind. */
@inline export function beginRecord(): void {
  State.failed = 0
  if (Records.rescueColumn) clearRescue()
}

/** Takes the record back from every leaf. */
export function undo<W>(): void {
  clearKeys()
  clearRescue()
  // Nothing was due before this record.
  State.due = false
  if (writes<W>()) for (let i = 0; i < Nodes.leafCount; i++) undoRecord(leafAt(i))
}

/** Tells the host of the failed record [start, end). */
export function rejectRecord(start: usize, end: usize): void {
  rejected(
    Records.read,
    start,
    end,
    State.failedNode,
    State.failed,
    State.failedGot,
    State.unknownKey,
    State.unknownKeyLength,
  )
  Records.read++
  State.failed = 0
  State.unknownKeyLength = 0
}

/** Rejects the record [start, end), which holds ill-formed UTF-8, and goes on behind it. */
export function rejectInvalid(start: usize, end: usize, final: bool): usize {
  State.failed = 0
  fail(MALFORMED, start, 0, GOT_INVALID_UTF8)
  rejectRecord(start, end)
  passInvalid(end, final)
  return end
}

/** Rejects the incomplete record at `p`, which has grown too large, and drops what there is of it. */
export function rejectUnread(p: usize, end: usize): void {
  State.failed = 0
  fail(TOO_LARGE, p, 0, GOT_LARGE_RECORD)
  rejectRecord(p, end)
  Input.position = Input.length
  Input.validTo = Input.length
  Input.invalid = false
  Input.retryAt = 0
}
