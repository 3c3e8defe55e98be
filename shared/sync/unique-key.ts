import { IngestError } from '../core/errors.ts'
import type { AddFile } from '../delta/actions.ts'
import { physicalName } from '../delta/column-mapping.ts'
import { localFile } from '../load/local-files.ts'
import { literal, quoted } from '../load/sql.ts'
import type { ResolvedTable } from '../pipeline/resolve.ts'
import type { Schema } from '../schema/types.ts'
import type { SyncPorts } from './stream-run.ts'

/** True when nothing but the user says that the key names one row: it does not hold the source's own key. */
export function keyIsUnproven({ key, source, scdType }: ResolvedTable): boolean {
  const proven = source.key.length > 0 && source.key.every((column) => key.includes(column))
  return key.length > 0 && !proven && scdType !== 'APPEND_ONLY'
}

/**
 * Looks for a key with more than one row in the files of a full copy, before they are committed. Costs a scan of the key's columns.
 *
 * @throws IngestError `source.key_not_unique` (fix), without the values
 */
export async function requireUniqueKey(
  table: ResolvedTable,
  files: readonly AddFile[],
  { root, schema }: { root: string; schema: Schema },
  ports: SyncPorts,
): Promise<void> {
  if (files.length === 0) return
  const engine = await ports.engine()
  const columns = schema.fields
    .filter(({ name }) => table.key.includes(name))
    .map((field) => quoted(physicalName(field)))
  const repeated = await engine.session(async (session) => {
    const paths: string[] = []
    for (const { path } of files)
      paths.push(await localFile(ports.storage, `${root}/${decodeURI(path)}`, session.folder))
    const [row] = await session.rows(
      `select count(*) as n from (select 1 from read_parquet([${paths.map(literal).join(', ')}], hive_partitioning = false)
       group by ${columns.join(', ')} having count(*) > 1)`,
    )
    return Number(row!.n)
  })
  if (repeated === 0) return
  const name = `${table.source.schema}.${table.source.name}`
  throw new IngestError(
    'source.key_not_unique',
    `primary_keys ${table.key.join(', ')} of ${name} is not a key: ${repeated} of its values name more than one row; add columns, or set scd_type: APPEND_ONLY`,
  )
}
