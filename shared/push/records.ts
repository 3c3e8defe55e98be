import { IngestError } from '../core/errors.ts'
import type { Intervals } from './intervals.ts'

const [LINE_FEED, RETURN, SPACE, TAB, QUOTE, BACKSLASH] = [10, 13, 32, 9, 34, 92]
const [OPEN_ARRAY, CLOSE_ARRAY, OPEN_OBJECT, CLOSE_OBJECT, COMMA] = [91, 93, 123, 125, 44]

/** Records of NDJSON: lines that are not blank. */
export const countRecords = (rows: Uint8Array): number => surveyRecords(rows).records

/**
 * Lines that are not blank. When they are `plain`, none is the beginning of an array, and the kernel, which lets no other
 * record go past its line, finds exactly one record in each.
 */
export function surveyRecords(rows: Uint8Array): { records: number; plain: boolean } {
  let records = 0
  let plain = true
  for (let start = 0; start < rows.length; ) {
    const found = rows.indexOf(LINE_FEED, start)
    const end = found < 0 ? rows.length : found
    const first = firstOf(rows, start, end)
    if (first < end) records++
    if (rows[first] === OPEN_ARRAY && first < end) plain = false
    start = end + 1
  }
  return { records, plain }
}

/** The records at these positions, counted from 0, as NDJSON. */
export function keepRecords(rows: Uint8Array, keep: Intervals): Uint8Array {
  const kept: Uint8Array[] = []
  let position = 0
  let next = 0
  for (const [start, end] of lines(rows)) {
    const at = position++
    while (next < keep.length && keep[next]![1] <= at) next++
    if (next < keep.length && keep[next]![0] <= at) kept.push(rows.subarray(start, end), NEW_LINE)
  }
  return Buffer.concat(kept)
}

/** NDJSON in pieces of whole lines, of about `maxBytes`, each with the position of its first record. */
export function* inPieces(rows: Uint8Array, maxBytes: number): Generator<{ first: number; rows: Uint8Array }> {
  let first = 0
  for (let start = 0; start < rows.length; ) {
    const cut = start + maxBytes < rows.length ? rows.indexOf(LINE_FEED, start + maxBytes) : -1
    const end = cut < 0 ? rows.length : cut + 1
    const piece = rows.subarray(start, end)
    yield { first, rows: piece }
    first += countRecords(piece)
    start = end
  }
}

/**
 * The elements of a JSON array as NDJSON. Only the shape is looked at: what stands between the commas is checked with the
 * rows.
 *
 * @throws IngestError `push.frame_invalid` (fix)
 */
export function arrayToLines(json: Uint8Array): Uint8Array {
  const out = Buffer.allocUnsafe(json.length + 1)
  let size = 0
  /** Where the element begins in `out`. */
  let element = 0
  let elements = 0
  let depth = 0
  let inString = false
  let ended = false
  for (let i = 0; i < json.length; i++) {
    const byte = json[i]!
    if (inString) {
      // A raw line break in a string is no JSON, and would make two records of one.
      if (byte === LINE_FEED) throw notAnArray()
      out[size++] = byte
      if (byte === BACKSLASH && i + 1 < json.length) out[size++] = json[++i]!
      else if (byte === QUOTE) inString = false
      continue
    }
    const blank = byte === SPACE || byte === TAB || byte === LINE_FEED || byte === RETURN
    if (blank) {
      // What it keeps apart must stay apart: 1 2 is not 12.
      if (size > element) out[size++] = SPACE
      continue
    }
    if (ended || (depth === 0 && byte !== OPEN_ARRAY)) throw notAnArray()
    if (byte === OPEN_ARRAY || byte === OPEN_OBJECT) {
      if (depth++ === 0) continue
    } else if (byte === CLOSE_ARRAY || byte === CLOSE_OBJECT) {
      if (--depth === 0) {
        if (size === element && elements > 0) throw notAnArray()
        ended = true
        continue
      }
    } else if (byte === COMMA && depth === 1) {
      if (size === element) throw notAnArray()
      out[size++] = LINE_FEED
      element = size
      elements++
      continue
    } else if (byte === QUOTE) inString = true
    out[size++] = byte
  }
  if (!ended) throw notAnArray()
  return out.subarray(0, size)
}

/** [start, end) of each line that is not blank. */
function* lines(rows: Uint8Array): Generator<readonly [number, number]> {
  let start = 0
  while (start < rows.length) {
    const found = rows.indexOf(LINE_FEED, start)
    const end = found < 0 ? rows.length : found
    if (firstOf(rows, start, end) < end) yield [start, end]
    start = end + 1
  }
}

/** Where the first byte is that is not blank; `end` when all are. */
function firstOf(rows: Uint8Array, start: number, end: number): number {
  for (let i = start; i < end; i++) {
    const byte = rows[i]!
    if (byte !== SPACE && byte !== TAB && byte !== RETURN) return i
  }
  return end
}

const NEW_LINE = new Uint8Array([LINE_FEED])

const notAnArray = () =>
  new IngestError('push.frame_invalid', 'the body is neither a JSON array of objects nor NDJSON with one object a line')
