import { alloc, free } from './memory'
import { Input, skipByteOrderMark } from './input'
import { endText, Text } from './lexer'
import { childOf, equalBytes, findChild, Nodes } from './node'
import { beginRecord, NEEDS_INPUT, rejectRecord } from './records'
import * as S from './state'
import { fail, State } from './state'
import { readField, readNullField } from './text-fields'
import { acceptLine, beginTurn, endLines, inLongLine, openLines, passLongLine, rejectLine } from './turn'

/** Comma-separated values (RFC 4180), with the usual liberties: see CsvDialect. */

let delimiter: u8 = 0x2c
let quote: u8 = 0x22
let escape: u8 = 0x22
let nullAt: usize = 0
let nullLength: i32 = 0
let hasHeader: bool = false
let headerDue: bool = false

/** For every column of the text its place in the schema, or -1. */
let columns: usize = 0
let columnCount: i32 = 0

/** Takes the dialect; a quote of zero means that nothing is quoted. The null text stays where it is. */
export function openCsv(d: i32, q: i32, e: i32, header: bool, nullText: usize, nullTextLength: i32): void {
  delimiter = <u8>d
  quote = <u8>q
  escape = <u8>e
  hasHeader = header
  nullAt = nullText
  nullLength = nullTextLength
  // It was freed with the memory of the writer before.
  columns = 0
  restartCsv()
}

/** Begins a new text. Without a header its columns are the schema's, in order. */
export function restartCsv(): void {
  headerDue = hasHeader
  openLines()
  columnCount = Nodes.root.childCount
  reserveColumns(columnCount)
  for (let i = 0; i < columnCount; i++) store<i32>(columns + 4 * i, i)
}

function reserveColumns(count: i32): void {
  if (columns) free(columns)
  columns = alloc(4 * count)
}

export function readCsv<W>(final: bool): i32 {
  if (!beginTurn(final)) return NEEDS_INPUT
  let p = Input.at + Input.position
  const end = State.end
  if (Input.atStart) {
    p = skipByteOrderMark(p, final)
    if (p == 0) return NEEDS_INPUT
  }
  while (p < end && !State.due) {
    const c = load<u8>(p)
    // Blank lines; of a single column they are rows.
    if (!inLongLine() && (columnCount > 1 || headerDue)) {
      if (c == 0x0a || (c == 0x0d && (load<u8>(p + 1) == 0x0a || (final && p + 1 == end)))) {
        p++
        continue
      }
    }
    let next: usize
    if (inLongLine()) next = passLongLine(p, end)
    else next = headerDue ? readHeader(p, end, final) : readCsvRecord<W>(p, end, final)
    if (next == 0) break
    p = next
  }
  return endLines(p, end, final)
}

/** The field read last: [from, to), and whether quotes stood around it. */
let fieldFrom: usize = 0
let fieldTo: usize = 0
let quoted: bool = false

/** Finds the field at `p`; returns the place of the delimiter, line feed or end behind it. */
function readFieldText(p: usize): usize {
  const end = State.end
  quoted = quote != 0 && load<u8>(p) == quote
  if (!quoted) {
    fieldFrom = p
    p = plainEnd(p, end)
    fieldTo = p
    if (p < end && load<u8>(p) == 0x0a && p > fieldFrom && load<u8>(p - 1) == 0x0d) fieldTo--
    else if (p == end && p > fieldFrom && load<u8>(p - 1) == 0x0d) fieldTo--
    return p
  }
  fieldFrom = ++p
  let to: usize = 0
  while (true) {
    while (p < end && load<u8>(p) != quote && load<u8>(p) != escape) {
      if (to) store<u8>(to++, load<u8>(p))
      p++
    }
    if (p >= end) return fail(S.MALFORMED, p, 0, S.GOT_END)
    const next = load<u8>(p + 1)
    if (load<u8>(p) == escape && p + 1 < end && (next == quote || next == escape)) {
      if (!to) {
        memory.copy(Text.at, fieldFrom, p - fieldFrom)
        to = Text.at + (p - fieldFrom)
      }
      store<u8>(to++, next)
      p += 2
    } else if (load<u8>(p) == quote) break
    else {
      if (to) store<u8>(to++, load<u8>(p))
      p++
    }
  }
  if (to) {
    endText(<i32>(to - Text.at))
    fieldFrom = Text.at
    fieldTo = to
  } else fieldTo = p
  p++
  if (load<u8>(p) == 0x0d && (p + 1 == end || load<u8>(p + 1) == 0x0a)) p++
  return p
}

/** The first delimiter or line feed at or after `p`, or `end`. */
@inline function plainEnd(p: usize, end: usize): usize {
  const feed = i8x16.splat(0x0a)
  const comma = i8x16.splat(delimiter)
  while (p < end) {
    const v = v128.load(p)
    const mask = i8x16.bitmask(v128.or(i8x16.eq(v, feed), i8x16.eq(v, comma)))
    if (mask) return min(p + ctz<i32>(mask), end)
    p += 16
  }
  return end
}

/** The end of the record at `start`: a line feed outside quotes, or `end`. */
function recordEnd(start: usize, end: usize): usize {
  let inQuotes = false
  for (let p = start; p < end; p++) {
    const c = load<u8>(p)
    if (inQuotes && c == escape && escape != quote) p++
    else if (quote && c == quote) inQuotes = !inQuotes
    else if (c == 0x0a && !inQuotes) return p
  }
  return end
}

function readCsvRecord<W>(start: usize, end: usize, final: bool): usize {
  beginRecord()
  const next = acceptLine<W>(start, readColumns<W>(start), end, final)
  return next ? next : rejectLine<W>(start, recordEnd(start, end), end, final)
}

function readColumns<W>(p: usize): usize {
  const root = Nodes.root
  let seen = 0
  for (let i = 0; i < columnCount; i++) {
    const stop = readFieldText(p)
    if (State.failed) return stop
    const c = load<u8>(stop)
    const position = load<i32>(columns + 4 * i)
    if (position >= 0) {
      const column = childOf(root, position)
      seen++
      if (!quoted && fieldTo - fieldFrom == nullLength && equalBytes(fieldFrom, nullAt, nullLength)) {
        readNullField<W>(column)
      } else readField<W>(column, fieldFrom, fieldTo)
      if (State.failed) return stop
    }
    if (stop < State.end && c == delimiter) {
      if (i == columnCount - 1) return fail(S.MALFORMED, stop, 0, S.GOT_MORE_COLUMNS)
    } else {
      if (stop < State.end && c != 0x0a) return fail(S.MALFORMED, stop, 0, S.GOT_UNEXPECTED)
      if (i < columnCount - 1) return fail(S.MALFORMED, stop, 0, S.GOT_FEWER_COLUMNS)
    }
    p = stop + 1
  }
  if (seen < root.childCount && root.requiredCount) failMissingColumn()
  return p - 1
}

/** A required column that the header does not name. */
function failMissingColumn(): void {
  const root = Nodes.root
  for (let i = 0; i < root.childCount; i++) {
    if (!childOf(root, i).required) continue
    let named = false
    for (let j = 0; j < columnCount; j++) if (load<i32>(columns + 4 * j) == i) named = true
    if (!named) fail(S.MISSING, 0, childOf(root, i).id, S.GOT_NOTHING)
  }
}

/** Reads the names of the columns: other names than the schema's are passed over, of equal ones the last counts. */
function readHeader(start: usize, end: usize, final: bool): usize {
  const line = recordEnd(start, end)
  if (line == end && !final) return 0
  beginRecord()
  let count = 1
  for (let p = start; p < line; p++) if (load<u8>(p) == delimiter) count++
  reserveColumns(count)
  columnCount = 0
  let p = start
  while (true) {
    const stop = readFieldText(p)
    if (State.failed) {
      rejectRecord(start, line)
      break
    }
    const found = findChild(Nodes.root, fieldFrom, <i32>(fieldTo - fieldFrom))
    for (let i = 0; i < columnCount; i++) if (load<i32>(columns + 4 * i) == found) store<i32>(columns + 4 * i, -1)
    store<i32>(columns + 4 * columnCount++, found)
    if (stop >= line || load<u8>(stop) != delimiter) break
    p = stop + 1
  }
  headerDue = false
  return min(line + 1, end)
}
