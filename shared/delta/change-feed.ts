import type { Field } from '../schema/types.ts'
import type { CdcFile } from './actions.ts'
import { encodePath } from './file-path.ts'

/**
 * The change data feed (Delta protocol, "Add CDC File"): what a version did, row by row. A version that only adds or only
 * removes whole files needs nothing: readers take the rows of those files. Any other version of a table that has the feed
 * on must come with change files that hold all of its changes, inserts included.
 */
export const CHANGE_DATA_FOLDER = '_change_data/'

/** In change files beside the table's columns: `insert`, `update_preimage`, `update_postimage` or `delete`. */
export const changeTypeField: Field = { name: '_change_type', type: { kind: 'string' }, nullable: false }

/** True when writers of this table must write change files. */
export const hasChangeFeed = (metadata: { configuration: Readonly<Record<string, string>> }): boolean =>
  metadata.configuration['delta.enableChangeDataFeed']?.toLowerCase() === 'true'

/** A written change file as a commit's `cdc`. `path` is relative to the table, not encoded, inside `CHANGE_DATA_FOLDER`. */
export function cdcFile(
  path: string,
  { sizeBytes }: { sizeBytes: number },
  partitionValues: Readonly<Record<string, string | null>> = {},
): CdcFile {
  return { path: encodePath(path), partitionValues, size: sizeBytes, dataChange: false }
}
