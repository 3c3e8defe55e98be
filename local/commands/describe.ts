import { findTable } from '../../shared/control/lakehouse.ts'
import { IngestError } from '../../shared/core/errors.ts'
import { tableRoot } from '../../shared/delta/table-root.ts'
import { history } from '../../shared/delta/time-travel.ts'
import type { Command } from '../command.ts'
import { time } from '../numbers.ts'

const SHOWN = 20

export const describe: Command = {
  name: 'describe',
  summary: 'The versions of a table: when each was made, by what, and from what.',
  arguments: [
    { name: 'what', required: true },
    { name: 'table', required: true },
  ],
  options: { limit: { kind: 'text', value: 'versions', describe: `Default ${SHOWN}; 0 for all.` } },
  details: 'What to describe is `history`.',
  examples: [{ command: 'lakeflow describe history shop.orders', what: 'The newest version first.' }],
  async run({ arguments: { what, table }, options, output, open }) {
    if (what !== 'history') throw new IngestError('usage.invalid', `lakeflow describe knows history, got ${what}`)
    const limit = Number(options.text('limit') ?? SHOWN)
    if (!Number.isInteger(limit) || limit < 0) {
      throw new IngestError('usage.invalid', '--limit is a whole number of versions')
    }
    const { storage } = await open()
    const name = await findTable(storage, table!)
    const entries = await history(storage, tableRoot(name), limit || Number.POSITIVE_INFINITY)
    const columns = ['version', 'time', 'operation', 'parameters', 'engine']
    output.table(
      entries.map(({ version, timestampMs, info }) => ({
        version,
        time: time(timestampMs),
        operation: info.operation ?? '',
        parameters: info.operationParameters ?? {},
        engine: info.engineInfo ?? '',
      })),
      columns,
    )
    return 0
  },
}
