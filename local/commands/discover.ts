import type { SourceTable } from '../../shared/connector/connector.ts'
import { discoverConnection } from '../../shared/control/connections.ts'

import { typeText } from '../../shared/schema/type-text.ts'
import type { Command } from '../command.ts'

export const discover: Command = {
  name: 'discover',
  summary: 'Tables of a source: columns, keys, and how each can be read.',
  arguments: [{ name: 'connection', required: true }],
  options: {
    schema: { kind: 'text', value: 'name', describe: 'Only this schema.' },
    table: { kind: 'text', value: 'name', describe: 'Only tables of this name.' },
  },
  examples: [
    { command: 'lakeflow discover shop_db', what: 'Everything the user can see.' },
    { command: 'lakeflow discover shop_db --schema public --table orders', what: 'One table.' },
  ],
  async run({ arguments: { connection }, options, output, open, signal }) {
    const project = await open()
    const schema = options.text('schema')
    const table = options.text('table')
    const found = await discoverConnection(project, connection!, signal, {
      ...(schema !== undefined && { schema }),
      ...(table !== undefined && { table }),
    })
    if (found.length === 0) output.note('there is no table that this user can see')
    for (const source of found) show(source)
    return 0

    function show(source: SourceTable) {
      if (output.json) return output.record(source)
      const rows = source.rowsEstimate === undefined ? '' : `, about ${source.rowsEstimate.toLocaleString('en')} rows`
      output.line(`${source.schema}.${source.name}: read by ${source.modes.join(' or ')}${rows}`)
      const unreadable = new Map(source.unreadable?.map(({ column, reason }) => [column, reason]))
      for (const { name, type, nullable } of source.columns.fields) {
        const marks = [
          source.key.includes(name) && 'key',
          source.cursorCandidates.includes(name) && 'can be a cursor',
          !nullable && 'not null',
          unreadable.has(name) && `not read: ${unreadable.get(name)}`,
        ].filter(Boolean)
        output.line(`  ${name}  ${typeText(type)}${marks.length > 0 ? `  (${marks.join(', ')})` : ''}`)
      }
      output.line()
    }
  },
}
