import { runNow, validatePipeline } from '../../shared/control/run.ts'
import { IngestError } from '../../shared/core/errors.ts'
import type { ResolvedTable } from '../../shared/pipeline/resolve.ts'
import { tableNameText } from '../../shared/pipeline/table-name.ts'
import type { Command, CommandContext } from '../command.ts'
import { isDeadHere, thisHolder } from '../holder.ts'
import { ProgressDisplay } from '../progress-display.ts'

export const run: Command = {
  name: 'run',
  summary: 'Copy what a pipeline chooses; from the second time on only what changed.',
  arguments: [{ name: 'pipeline', required: true }],
  options: {
    'full-refresh': {
      kind: 'optional text',
      value: 'table,...',
      describe:
        'Copy these tables (all without a value) again in full. Readers see the old rows until the new ones are complete.',
    },
    refresh: { kind: 'text', value: 'table,...', describe: 'Only these tables.' },
    'validate-only': { kind: 'flag', describe: 'Say what would be read and where it would go; change nothing.' },
  },
  details:
    'Ctrl-C ends in order: what is committed stays, the next run goes on from there. Two runs of one pipeline at the\nsame time are safe: the second is told that the tables are taken.',
  examples: [
    { command: 'lakeflow run shop', what: 'Every table of the pipeline.' },
    { command: 'lakeflow run shop --refresh=orders,customers', what: 'Two of them.' },
    { command: 'lakeflow run shop --full-refresh=orders', what: 'All, and orders again from the start.' },
    { command: 'lakeflow run shop --validate-only', what: 'Looks, and changes nothing.' },
  ],
  async run(context) {
    const {
      arguments: { pipeline },
      options,
      output,
      open,
      signal,
    } = context
    const project = await open()
    if (options.flag('validate-only')) return validate(context, pipeline!)
    const display = new ProgressDisplay(output, pipeline!, { now: project.clock.now })
    const full = options.list('full-refresh')
    const refresh = options.list('refresh')
    const result = await runNow(project, {
      pipeline: pipeline!,
      ...(full && { fullRefresh: full.length === 0 ? ('all' as const) : full }),
      ...(refresh && { refresh }),
      cause: 'USER_ACTION',
      runner: { holder: thisHolder(), isDead: isDeadHere },
      signal,
      onPlan: ({ notes }) => notes.map((note) => display.note(note)),
      report: (progress) => display.report(progress),
    })
    display.finish(result)
    return result.state === 'COMPLETED' ? 0 : 1
  },
}

async function validate({ output, open, signal }: CommandContext, pipeline: string): Promise<number> {
  const { tables, notes } = await validatePipeline(await open(), pipeline, signal)
  for (const note of notes) output.note(`note ${note}`)
  output.table(tables.map(row), ['source', 'destination', 'read by', 'cursor', 'key', 'columns', 'keeps'])
  if (tables.length === 0) throw new IngestError('source.object_missing', 'the pipeline chooses no table')
  const refused = tables.find((table) => table.refused)?.refused
  if (refused) throw new IngestError(refused.code, refused.message)
  return 0
}

const row = (table: ResolvedTable) => ({
  source: `${table.source.schema}.${table.source.name}`,
  destination: tableNameText(table.destination),
  'read by': table.refused ? 'an error' : table.mode,
  cursor: table.cursorColumns.join(', '),
  key: table.key.join(', '),
  columns: table.columns.length,
  keeps: table.scdType,
})
