import type { Maintained } from '../../shared/control/maintain.ts'
import type { Project } from '../../shared/control/project.ts'
import { IngestError } from '../../shared/core/errors.ts'
import { portFrom, startApiServer } from '../api-server.ts'
import type { Command } from '../command.ts'
import { errorRecord, errorText } from '../error-text.ts'
import { runMaintenance } from '../maintenance.ts'
import { time } from '../numbers.ts'
import type { Output } from '../output.ts'
import { ProgressDisplay } from '../progress-display.ts'
import { startProjectPush } from '../push/settings.ts'
import type { PushServer } from '../push-server.ts'
import { runScheduler, scheduledPipelines } from '../scheduler.ts'

export const start: Command = {
  name: 'start',
  summary: 'Run every pipeline on its schedule, and the push server, until Ctrl-C.',
  options: {
    port: {
      kind: 'text',
      value: 'port',
      describe: 'Port of the API on 127.0.0.1. Default PORT; without either there is none.',
    },
  },
  details:
    'A run that is due while the one before it lasts is skipped. Ctrl-C ends in order: what is committed stays, and the\nnext start goes on from there; a second Ctrl-C ends at once.',
  examples: [
    { command: 'lakeflow start', what: 'Until Ctrl-C.' },
    { command: 'lakeflow start --json > lakeflow.log', what: 'As a service.' },
  ],
  async run({ options, output, open, env, signal }) {
    const project = await open()
    const scheduled = scheduledPipelines(project)
    if (scheduled.size === 0 && !project.spec.push)
      throw new IngestError(
        'config.invalid',
        `${project.text.file} has no section push, and no pipeline with a schedule or trigger, so there is nothing to start`,
      )
    const port = options.text('port') ?? env.PORT
    await using stack = new AsyncDisposableStack()
    if (port) {
      const api = await startApiServer(project, portFrom(port, 0))
      stack.defer(() => api.close())
      output.line(`API on ${api.url}/api/status`)
    }
    const push = project.spec.push && (await startPush(project, output, options.flag('debug')))
    const displays = new Map(
      [...scheduled.keys()].map((name) => [
        name,
        new ProgressDisplay(output, name, { now: project.clock.now, quiet: true }),
      ]),
    )
    for (const [name, schedule] of scheduled) output.line(`${name}: ${schedule.text}`)
    const pipelines = runScheduler(project, signal, {
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
    const maintenance = runMaintenance(project, signal, (done) => tellMaintained(output, done))
    try {
      await Promise.all([pipelines, maintenance, push && aborted(signal)])
    } finally {
      await push?.close()
    }
    output.line('stopped')
    return 0
  },
}

async function startPush(project: Project, output: Output, debug: boolean): Promise<PushServer> {
  const server = await startProjectPush(project, {
    events: {
      committed: ({ table, version, rows, lagMs }) => {
        if (output.json) output.record({ type: 'pushed', table, version, rows, lag_ms: lagMs })
        else output.draw([`  ${table}: version ${version}, ${rows} records, ${lagMs} ms after the first of them came`])
      },
      failed: (error) => {
        if (output.json) output.record({ ...errorRecord(error, debug), pipeline: 'push' })
        else output.error(`push: ${errorText(error, debug)}`)
      },
    },
  })
  if (output.json) output.record({ type: 'listening', url: server.url })
  else output.line(`push: ${server.url}`)
  return server
}

function tellMaintained(output: Output, { error, ...done }: Maintained): void {
  if (output.json) output.record({ type: 'maintained', ...done, ...(error && { error: error.code }) })
  else if (error) output.error(`${done.table}: ${errorText(error, false)}`)
  else if (done.filesJoined > 0) output.line(`${done.table}: ${done.filesJoined} files are now ${done.filesWritten}`)
  else output.line(`${done.table}: ${done.filesDeleted} files that no version needs are deleted`)
}

const aborted = (signal: AbortSignal) =>
  new Promise<void>((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
