import { IngestError } from '../core/errors.ts'
import type { IngestBatch } from './batch.ts'
import { columnsOfRecords } from './infer-columns.ts'
import type { PushLimits } from './payload.ts'
import type { PushTable, PushTables } from './tables.ts'

/**
 * The table of a session that may create it, with the columns of its first batch.
 *
 * @throws IngestError `table.missing` (fix) when it may not, or the records have no columns
 */
export async function tableFromBatch(
  name: string,
  batch: IngestBatch,
  allowed: boolean,
  { tables, limits }: { tables: PushTables; limits: PushLimits },
): Promise<PushTable> {
  const columns = allowed ? columnsOfRecords(batch, limits) : []
  if (columns.length === 0)
    throw new IngestError(
      'table.missing',
      `there is no table ${name}, and the records have no columns to create it with, or may not`,
    )
  return tables.create(name, { fields: columns })
}
