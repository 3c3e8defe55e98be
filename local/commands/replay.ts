import { replay as replayRows } from '../../shared/control/replay.ts'
import type { Command } from '../command.ts'
import { isDeadHere, thisHolder } from '../holder.ts'
import { count } from '../numbers.ts'

const SHOWN = 5

export const replay: Command = {
  name: 'replay',
  summary: 'Lay quarantined rows on their tables again, once what kept them out is mended.',
  arguments: [{ name: 'name', required: true }],
  details:
    'The name is a pipeline or a table. Rows that still do not fit stay in quarantine, with exit code 1. An old row never takes the place of a newer one.\nReplaying twice changes nothing.',
  examples: [
    { command: 'lakeflow replay shop', what: 'Of every table of the pipeline.' },
    { command: 'lakeflow replay shop.orders', what: 'Of one table.' },
  ],
  async run({ arguments: { name }, output, open, signal }) {
    const project = await open()
    const runner = { holder: thisHolder(), isDead: isDeadHere }
    const tables = await replayRows(project, { name: name!, runner, signal })
    if (tables.length === 0 && !output.json) output.line('no row is in quarantine')
    for (const table of tables) {
      if (output.json) {
        output.record({ type: 'replay', ...table })
        continue
      }
      const { stream, applied, superseded, left } = table
      const older = superseded > 0 ? `, ${count(superseded)} older than the last full copy` : ''
      output.line(`${stream}  ${count(applied)} applied${older}, ${count(left.length)} left`)
      for (const { id, reason } of left.slice(0, SHOWN)) output.line(`    ${id}  ${reason}`)
      if (left.length > SHOWN) output.line(`    and ${count(left.length - SHOWN)} more`)
    }
    return tables.some(({ left }) => left.length > 0) ? 1 : 0
  },
}
