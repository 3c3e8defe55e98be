import type { CsvDialect } from '../columnar/batch-writer.ts'
import type { Block } from '../core/change.ts'

/**
 * The records of a block that end in it, each as the raw bytes of its fields; of JSON, in lines or arrays, as one piece. `end`: where the
 * first record begins that does not end here. In COPY text a tab or line feed inside a value is escaped, so both always
 * end a field; in CSV they may stand between quotes.
 */
export function splitRecords(
  format: Block['format'],
  bytes: Uint8Array,
  csv: CsvDialect = {},
): { records: Uint8Array[][]; end: number } {
  if (format === 'ndjson') return splitJson(bytes)
  const code = (text: string | undefined) => (text ? text.charCodeAt(0) : -1)
  const delimiter = format === 'copy' ? 9 : code(csv.delimiter ?? ',')
  const quote = format === 'csv' ? code(csv.quote ?? '"') : -1
  const escaped = code(csv.escape)
  const records: Uint8Array[][] = []
  let fields: Uint8Array[] = []
  let [end, start, inside] = [0, 0, false]
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at]
    if (inside && byte === escaped && escaped !== quote) at++
    else if (byte === quote) inside = !inside
    else if (inside) continue
    else if (byte === delimiter) {
      fields.push(bytes.subarray(start, at))
      start = at + 1
    } else if (byte === 10) {
      const stop = format === 'csv' && bytes[at - 1] === 13 && at > start ? at - 1 : at
      records.push([...fields, bytes.subarray(start, stop)])
      fields = []
      end = start = at + 1
    }
  }
  return { records, end }
}

/** Objects, one after the other or in arrays. What is no object is a record of its own up to its line's end, to be refused. */
function splitJson(bytes: Uint8Array): { records: Uint8Array[][]; end: number } {
  const between = Buffer.from(' \t\r\n,[]')
  const records: Uint8Array[][] = []
  let [start, end, depth, quoted] = [-1, 0, 0, false]
  const take = (stop: number) => {
    const record = bytes.subarray(start, stop)
    // No string of JSON holds a raw line feed: those between its tokens become spaces, and the record one line.
    records.push([record.includes(10) ? record.map((byte) => (byte === 10 ? 32 : byte)) : record])
    start = -1
    end = stop
  }
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at]!
    if (start < 0) {
      if (between.includes(byte)) {
        end = at + 1
        continue
      }
      start = at
      depth = byte === OPEN ? 1 : 0
    } else if (quoted) {
      if (byte === BACKSLASH) at++
      else if (byte === QUOTE) quoted = false
    } else if (depth === 0) {
      if (byte === 10) take(at)
    } else if (byte === QUOTE) quoted = true
    else if (byte === OPEN) depth++
    else if (byte === CLOSE && --depth === 0) take(at + 1)
  }
  return { records, end }
}

const [OPEN, CLOSE, QUOTE, BACKSLASH] = [0x7b, 0x7d, 0x22, 0x5c]
