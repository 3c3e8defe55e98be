import { status as pipelineStatus } from '../../shared/control/status.ts'
import type { Command } from '../command.ts'
import { count, duration, rows, time } from '../numbers.ts'

export const status: Command = {
  name: 'status',
  summary: 'Every pipeline with its schedule, its last run and the tables of that run.',
  examples: [
    { command: 'lakeflow status', what: 'For people.' },
    { command: 'lakeflow status --json', what: 'One JSON object a pipeline.' },
  ],
  async run({ output, open }) {
    const project = await open()
    const all = await pipelineStatus(project)
    if (all.length === 0) output.note(`${project.text.file} has no pipelines`)
    for (const { pipeline, connection, schedule, nextRunAtMs, lastRun, gone = [] } of all) {
      if (output.json) {
        output.record({ pipeline, connection, schedule, nextRunAtMs, lastRun, gone })
        continue
      }
      const next = nextRunAtMs === undefined ? '' : `, due ${time(nextRunAtMs)}`
      output.line(`${pipeline} (from ${connection}; ${schedule ? `${schedule}${next}` : 'runs when asked'})`)
      if (!lastRun) output.line('  has not run yet')
      else output.line(`  ${lastRun.state.toLowerCase()} ${time(lastRun.startedAtMs)}, run ${lastRun.id}`)
      for (const { table, sinceMs } of gone)
        output.line(`    ${table}  is not in the source since ${time(sinceMs)}; the table is kept`)
      for (const stream of lastRun?.streams ?? []) {
        const what = stream.error
          ? `FAILED ${stream.error.code}: ${stream.error.message}`
          : `${stream.state.toLowerCase()}, ${rows(stream.rows)} in ${duration(stream.durationMs)}`
        const drift = stream.schemaChanges ? `, schema changes: ${count(stream.schemaChanges)} (lakeflow events)` : ''
        output.line(
          `    ${stream.stream}  ${what}${drift}${stream.version === undefined ? '' : `, version ${stream.version}`}`,
        )
      }
    }
    return all.some(({ lastRun }) => lastRun?.state === 'FAILED') ? 1 : 0
  },
}
