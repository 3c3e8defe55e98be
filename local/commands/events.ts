import { events as listEvents } from '../../shared/control/status.ts'
import type { Command } from '../command.ts'

export const events: Command = {
  name: 'events',
  summary: 'The event log of a run, by default the last one.',
  arguments: [{ name: 'run', required: false }],
  details: "With --json the events have the fields of Databricks' event_log.",
  examples: [
    { command: 'lakeflow events', what: 'Of the last run.' },
    { command: 'lakeflow events 1a2b3c4d', what: 'Of one run; the end of its id is enough.' },
    { command: 'lakeflow events --json | jq .details', what: 'All that is known.' },
  ],
  async run({ arguments: { run }, output, open }) {
    for (const event of await listEvents(await open(), run)) {
      if (output.json) output.record(event)
      else output.line(`${event.timestamp}  ${event.level.padEnd(7)}  ${event.event_type.padEnd(18)}  ${event.message}`)
    }
    return 0
  },
}
