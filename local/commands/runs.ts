import { runs as listRuns } from '../../shared/control/status.ts'
import { IngestError } from '../../shared/core/errors.ts'
import type { Command } from '../command.ts'
import { duration, time } from '../numbers.ts'

export const runs: Command = {
  name: 'runs',
  summary: 'Runs of one pipeline or of all, newest first.',
  arguments: [{ name: 'pipeline', required: false }],
  options: { limit: { kind: 'text', value: 'runs', describe: 'At most so many. Default 20.' } },
  examples: [
    { command: 'lakeflow runs', what: 'Of all pipelines.' },
    { command: 'lakeflow runs shop --limit 5', what: 'The last five of one.' },
  ],
  async run({ arguments: { pipeline }, options, output, open }) {
    const limit = Number(options.text('limit') ?? 20)
    if (!Number.isInteger(limit) || limit < 1)
      throw new IngestError('usage.invalid', '--limit is a whole number above 0')
    const found = await listRuns(await open(), pipeline, limit)
    if (output.json) for (const run of found) output.record(run)
    else
      output.table(
        found.map((run) => ({
          run: run.id,
          pipeline: run.pipeline,
          state: run.state,
          started: time(run.startedAtMs),
          took: run.endedAtMs === undefined ? '' : duration(run.endedAtMs - run.startedAtMs),
          tables: run.streams.length,
          failed: run.streams.filter((stream) => stream.state === 'FAILED').length,
          rows: run.streams.reduce((sum, stream) => sum + stream.rows, 0),
        })),
        ['run', 'pipeline', 'state', 'started', 'took', 'tables', 'failed', 'rows'],
      )
    return 0
  },
}
