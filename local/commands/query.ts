import { type QueryResult, query as runQuery } from '../../shared/control/query.ts'
import { IngestError } from '../../shared/core/errors.ts'
import type { Command } from '../command.ts'
import { cellText, type Output, tableLines } from '../output.ts'

const formats = ['table', 'csv', 'json']
/** As many rows as a person looks at; the file formats have no limit. */
const SHOWN_ROWS = 100

export const query: Command = {
  name: 'query',
  summary: 'Run a SELECT over the lakehouse.',
  arguments: [{ name: 'sql', required: true }],
  options: {
    format: { kind: 'text', value: 'table|csv|json', describe: 'Default table; --json is --format json.' },
    limit: { kind: 'text', value: 'rows', describe: `Rows a table shows. Default ${SHOWN_ROWS}; 0 for all.` },
  },
  details: [
    'The SQL is DuckDB. A table is catalog.schema.table; the catalog main may be left out. As a table was:',
    "main.shop.orders VERSION AS OF 3, main.shop.orders TIMESTAMP AS OF '2026-01-31 10:00:00' (UTC), main.shop.orders@v3.",
    'Nothing can be written, and nothing outside of the lakehouse can be read.',
  ].join('\n'),
  examples: [
    { command: 'lakeflow query "show tables"', what: 'What there is.' },
    { command: 'lakeflow query "select count(*) from main.shop.orders"', what: 'The newest version.' },
    {
      command: 'lakeflow query "select * from shop.orders version as of 3" --format csv',
      what: 'An older one, as CSV.',
    },
  ],
  async run({ arguments: { sql }, options, output, open }) {
    const format = output.json ? 'json' : (options.text('format') ?? 'table')
    if (!formats.includes(format))
      throw new IngestError('usage.invalid', `--format is ${formats.join(', ')}, got ${format}`)
    const limit = Number(options.text('limit') ?? SHOWN_ROWS)
    if (!Number.isInteger(limit) || limit < 0)
      throw new IngestError('usage.invalid', '--limit is a whole number of rows')
    const project = await open()
    await runQuery(project, sql!, (result) => printers[format]!(result, output, limit || Number.POSITIVE_INFINITY))
    return 0
  },
}

const printers: Record<string, (result: QueryResult, output: Output, limit: number) => Promise<void>> = {
  async table({ columns, batches }, output, limit) {
    const rows: unknown[][] = []
    let more = false
    for await (const batch of batches) {
      rows.push(...batch.slice(0, limit - rows.length))
      more = rows.length === limit
      if (more) break
    }
    for (const line of tableLines(rows, columns)) output.line(line)
    output.line(
      more ? `the first ${rows.length} rows; --limit 0 shows all` : rows.length === 1 ? '1 row' : `${rows.length} rows`,
    )
  },
  async csv({ columns, batches }, output) {
    await output.raw(`${columns.map(csvCell).join(',')}\n`)
    for await (const batch of batches) await output.raw(batch.map((row) => `${row.map(csvCell).join(',')}\n`).join(''))
  },
  async json({ columns, batches }, output) {
    for await (const batch of batches) {
      const rows = batch.map((row) => Object.fromEntries(columns.map((column, i) => [column, row[i]])))
      await output.raw(rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
    }
  },
}

/** RFC 4180; null is empty, and empty text is quoted so that the two differ. */
function csvCell(value: unknown): string {
  if (value === null || value === undefined) return ''
  const text = typeof value === 'string' ? value : typeof value === 'object' ? JSON.stringify(value) : cellText(value)
  return text === '' || /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
