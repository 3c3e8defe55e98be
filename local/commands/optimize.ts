import { join } from 'node:path'
import { findTable } from '../../shared/control/lakehouse.ts'
import { IngestError } from '../../shared/core/errors.ts'
import { tableRoot } from '../../shared/delta/table-root.ts'
import { openEngine } from '../../shared/load/engine.ts'
import { optimizeTable } from '../../shared/load/optimize.ts'
import { tableNameText } from '../../shared/pipeline/table-name.ts'
import type { Command } from '../command.ts'
import { bytes, count } from '../numbers.ts'

export const optimize: Command = {
  name: 'optimize',
  summary: 'Join small files of a table into big ones, and order its rows for queries.',
  arguments: [{ name: 'table', required: true }],
  options: {
    by: {
      kind: 'text',
      value: 'columns',
      describe: 'Order rows by these columns, comma-separated: several along a curve.',
    },
    'target-mb': { kind: 'text', value: 'size', describe: 'Size of a file. Default: delta.targetFileSize, or 128.' },
  },
  details:
    'Rows stay as they are. Safe beside a running pipeline: where both touch a file, the pipeline wins and this is done again.',
  examples: [
    { command: 'lakeflow optimize shop.orders', what: 'Fewer, bigger files.' },
    {
      command: 'lakeflow optimize shop.orders --by customer_id,ordered_at',
      what: 'Queries by either column skip files.',
    },
  ],
  async run({ arguments: { table }, options, output, open, signal }) {
    const target = Number(options.text('target-mb') ?? 'NaN')
    if (options.text('target-mb') !== undefined && !(target > 0)) {
      throw new IngestError('usage.invalid', `--target-mb is a size in MB, got ${options.text('target-mb')}`)
    }
    const { storage, clock, random, scratch } = await open()
    const name = await findTable(storage, table!)
    const engine = await openEngine({ scratch: join(scratch, 'optimize') })
    try {
      const result = await optimizeTable(
        tableRoot(name),
        { engine, storage, clock, random, signal },
        {
          ...(Number.isNaN(target) ? {} : { targetBytes: target * 2 ** 20 }),
          clusteringColumns:
            options
              .text('by')
              ?.split(',')
              .map((column) => column.trim()) ?? [],
        },
      )
      if (output.json) output.record({ table: tableNameText(name), ...result })
      else if (result.filesRemoved === 0) output.line(`${tableNameText(name)} has nothing to join`)
      else {
        const was = `${count(result.filesRemoved)} files (${bytes(result.bytesRemoved)})`
        const is = `${count(result.filesAdded)} (${bytes(result.bytesAdded)})`
        output.line(`${tableNameText(name)}: ${was} are now ${is}, version ${result.version}`)
      }
      return 0
    } finally {
      engine.close()
    }
  },
}
