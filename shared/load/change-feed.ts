import type { Random } from '../core/random.ts'
import type { CdcFile } from '../delta/actions.ts'
import { CHANGE_DATA_FOLDER, cdcFile, changeTypeField } from '../delta/change-feed.ts'
import { physicalName } from '../delta/column-mapping.ts'
import type { Field } from '../schema/types.ts'
import { columns } from './sql.ts'
import { storedNames, type Workspace } from './workspace.ts'
import { writeFiles } from './write-files.ts'

/**
 * The change data files of a commit that takes `before` out and puts the temporary table `fresh` in: an update is a row
 * of both with the same `keys`. None for a commit that only adds rows: readers see those in the added files.
 */
export async function writeChangeFeed(
  work: Workspace,
  before: string,
  keys: readonly Field[],
  { random }: { random: Random },
): Promise<CdcFile[]> {
  const { session } = work
  await session.run(`create temp table before as ${before}`)
  const [gone] = await session.rows('select count(*) n from before')
  if (Number(gone!.n) === 0) return []
  const names = columns(storedNames(work))
  const key = columns(keys.map(physicalName))
  const rows = (from: string, join: 'semi' | 'anti', other: string, type: string) =>
    `select ${names}, '${type}' _change_type from ${from} ${join} join ${other} using (${key})`
  const files = await writeFiles(
    work,
    [
      rows('before', 'semi', 'fresh', 'update_preimage'),
      rows('fresh', 'semi', 'before', 'update_postimage'),
      rows('before', 'anti', 'fresh', 'delete'),
      rows('fresh', 'anti', 'before', 'insert'),
    ].join(' union all '),
    { random },
    { fields: [...work.fields, changeTypeField], prefix: `${CHANGE_DATA_FOLDER}cdc-` },
  )
  return files.map((file) => cdcFile(file.name, file))
}
