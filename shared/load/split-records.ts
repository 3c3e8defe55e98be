import type { CsvDialect } from '../columnar/batch-writer.ts'
import type { Block } from '../core/change.ts'

/**
 * The records of a block that end in it, each as the raw bytes of its fields; of JSON as one piece. `end`: where the
 * first record begins that does not end here. In COPY text a tab or line feed inside a value is escaped, so both always
 * end a field; in CSV they may stand between quotes.
 */
export function splitRecords(
  format: Block['format'],
  bytes: Uint8Array,
  csv: CsvDialect = {},
): { records: Uint8Array[][]; end: number } {
  const code = (text: string | undefined) => (text ? text.charCodeAt(0) : -1)
  const delimiter = format === 'copy' ? 9 : format === 'csv' ? code(csv.delimiter ?? ',') : -1
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
