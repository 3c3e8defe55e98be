import type { Block } from '../../shared/core/change.ts'
import type { Field } from '../../shared/schema/types.ts'
import { parseCopy } from './connector-run.ts'
import type { TextRow } from './replica.ts'

/** The rows of some blocks of one format, as texts; null where there is no value. */
export function blockRows(blocks: readonly Block[], columns: readonly string[]): TextRow[] {
  const named = (cells: readonly (string | null)[]) =>
    Object.fromEntries(columns.map((name, index) => [name, cells[index] ?? null]))
  const [first] = blocks
  if (!first) return []
  const whole = Buffer.concat(blocks.map(({ bytes }) => bytes))
  if (first.format === 'copy') return parseCopy(whole).map(named)
  if (first.format === 'csv') return parseCsv(whole.toString('utf8')).map(named)
  return blocks
    .flatMap(({ bytes }) => JSON.parse(Buffer.from(bytes).toString('utf8')) as Record<string, unknown>[])
    .map((row) => named(columns.map((name) => (row[name] == null ? null : String(row[name])))))
}

/** A value's text in one form, whatever the transport: `23.0` and `23`, `2.3E1` and `23`, `+0000` and `Z` are the same. */
export function canonicalRow(row: TextRow, fields: readonly Field[]): TextRow {
  const kinds = new Map(fields.map(({ name, type }) => [name, type.kind]))
  return Object.fromEntries(Object.entries(row).map(([name, text]) => [name, canonicalText(text, kinds.get(name))]))
}

function canonicalText(text: string | null, kind: string | undefined): string | null {
  if (text === null) return null
  if (kind === 'double' || kind === 'decimal')
    return /e/i.test(text) ? String(Number(text)) : text.replace(/(\.\d*?)0+$/, '$1').replace(/\.$/, '')
  if (kind === 'timestamp' && /^\d{4}-\d\d-\d\dT/.test(text)) return new Date(text).toISOString()
  if (kind === 'boolean') return text === 'true' ? 't' : text === 'false' ? 'f' : text
  return text
}

/** RFC 4180; an empty value without quotes is null. */
export function parseCsv(text: string): (string | null)[][] {
  const rows: (string | null)[][] = []
  let row: (string | null)[] = []
  for (const [, quoted, plain, end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r?\n)/g)) {
    row.push(quoted === undefined ? plain || null : quoted.replaceAll('""', '"'))
    if (end === ',') continue
    rows.push(row)
    row = []
  }
  return rows
}
