import { IngestError } from '../../shared/core/errors.ts'
import type { Command } from '../command.ts'
import { errorRecord, errorText } from '../error-text.ts'
import { time } from '../numbers.ts'
import { ProgressDisplay } from '../progress-display.ts'
import { runScheduler, scheduledPipelines } from '../scheduler.ts'

export const start: Command = {
  name: 'start',
  summary: 'Run every pipeline on its schedule until Ctrl-C.',
  details:
    'A run that is due while the one before it lasts is skipped. Ctrl-C ends in order: what is committed stays, and the\nnext start goes on from there; a second Ctrl-C ends at once.',
  examples: [
    { command: 'lakeflow start', what: 'Until Ctrl-C.' },
    { command: 'lakeflow start --json > lakeflow.log', what: 'As a service.' },
  ],
  async run({ options, output, open, signal }) {
    const project = await open()
    const scheduled = scheduledPipelines(project)
    if (scheduled.size === 0)
      throw new IngestError(
        'config.invalid',
        `no pipeline of ${project.text.file} has a schedule or trigger, so there is nothing to start`,
      )
    const displays = new Map(
      [...scheduled.keys()].map((name) => [
        name,
        new ProgressDisplay(output, name, { now: project.clock.now, quiet: true }),
      ]),
    )
    for (const [name, schedule] of scheduled) output.line(`${name}: ${schedule.text}`)
    await runScheduler(project, signal, {
      onNext: (pipeline, atMs) => {
        if (output.json) output.record({ type: 'scheduled', pipeline, at: new Date(atMs).toISOString() })
        else output.draw([`  ${pipeline}: next run ${time(atMs)} UTC`])
      },
      onNote: (pipeline, note) => displays.get(pipeline)!.note(note),
      onProgress: (pipeline, progress) => displays.get(pipeline)!.report(progress),
      onEnd: (pipeline, run) => displays.get(pipeline)!.finish(run),
      onError: (pipeline, error) => {
        const debug = options.flag('debug')
        if (output.json) output.record({ ...errorRecord(error, debug), pipeline })
        else output.error(`${pipeline}: ${errorText(error, debug)}`)
      },
    })
    output.line('stopped')
    return 0
  },
}
