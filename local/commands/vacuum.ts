import { findTable } from '../../shared/control/lakehouse.ts'
import { IngestError } from '../../shared/core/errors.ts'
import { readSnapshot } from '../../shared/delta/snapshot.ts'
import { tableRoot } from '../../shared/delta/table-root.ts'
import { vacuum as vacuumTable } from '../../shared/delta/vacuum.ts'
import { vacuumHidden } from '../../shared/load/vacuum-hidden.ts'
import { tableNameText } from '../../shared/pipeline/table-name.ts'
import type { Command } from '../command.ts'
import { bytes, count } from '../numbers.ts'

const WEEK_HOURS = 168
const HOUR_MS = 3_600_000

export const vacuum: Command = {
  name: 'vacuum',
  summary: 'Delete the files of a table that no version within the retention needs.',
  arguments: [{ name: 'table', required: true }],
  options: {
    'retain-hours': { kind: 'text', value: 'hours', describe: "Default: the table's own retention, or 168 (7 days)." },
    'dry-run': { kind: 'flag', describe: 'Say what would be deleted, and delete nothing.' },
    force: {
      kind: 'flag',
      describe: "Allow a shorter retention than the table's own; readers at work may lose files.",
    },
  },
  details: 'Versions older than the retention cannot be read any more afterwards.',
  examples: [
    { command: 'lakeflow vacuum shop.orders --dry-run', what: 'What would go.' },
    { command: 'lakeflow vacuum shop.orders', what: 'Free the space.' },
  ],
  async run({ arguments: { table }, options, output, open }) {
    const text = options.text('retain-hours')
    const hours = Number(text ?? WEEK_HOURS)
    if (!(hours >= 0)) throw new IngestError('usage.invalid', `--retain-hours is a number of hours, got ${text}`)
    const { storage, clock } = await open()
    const name = await findTable(storage, table!)
    const dryRun = options.flag('dry-run')
    const { deleted, freedBytes } = await vacuumTable(
      storage,
      tableRoot(name),
      { clock },
      { ...(text === undefined ? {} : { retentionMs: hours * HOUR_MS }), force: options.flag('force'), dryRun },
    )
    const snapshot = (await readSnapshot(storage, tableRoot(name)))!
    const hidden = await vacuumHidden(storage, snapshot, { clock }, { retentionMs: hours * HOUR_MS, dryRun })
    const paths = [...deleted, ...hidden]
    if (output.json) output.record({ table: tableNameText(name), dryRun, freedBytes, deleted: paths })
    else {
      if (dryRun) for (const path of paths) output.line(path)
      const what = `${count(paths.length)} ${paths.length === 1 ? 'file' : 'files'} (${bytes(freedBytes)} of data)`
      output.line(`${tableNameText(name)}: ${dryRun ? 'would delete' : 'deleted'} ${what}`)
    }
    return 0
  },
}
