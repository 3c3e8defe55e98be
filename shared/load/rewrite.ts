import type { Clock } from '../core/clock.ts'
import type { Random } from '../core/random.ts'
import type { AddFile } from '../delta/actions.ts'
import { physicalName } from '../delta/column-mapping.ts'
import type { Field } from '../schema/types.ts'
import { type TouchedFile, touchedFiles } from './skip-files.ts'
import { columns, quoted } from './sql.ts'
import { storedNames, tableRows, type Workspace } from './workspace.ts'
import { addFiles, writeFiles } from './write-files.ts'

/** Old files out, new files in. */
export interface Replacement {
  add: AddFile[]
  remove: AddFile[]
  /** Rows taken out of the table, and rows put in. An update is one of each. */
  rowsRemoved: number
  rowsAdded: number
  bytesRead: number
  bytesWritten: number
}

/**
 * Takes the rows with a key of the temporary table `doomed` out of the table, and puts the rows of `fresh` in: files
 * that hold no doomed row stay as they are. `doomed` has the columns `keys`; `fresh` has all of the table's, and its keys
 * are either doomed or new.
 *
 * A fresh row goes where its key's neighbours are, so that files keep the narrow key ranges which the next merge skips
 * by; one whose key falls between the rewritten files goes to a file of new rows.
 */
export async function replaceRows(
  work: Workspace,
  keys: readonly Field[],
  ports: { clock: Clock; random: Random },
): Promise<Replacement> {
  const touched = await touchedFiles(work, 'doomed', keys)
  const lead = quoted(physicalName(keys[0]!))
  const names = columns(storedNames(work))
  const add: AddFile[] = []

  for (const [bin, files] of binned(touched)) {
    const range = bin === undefined ? undefined : rangeOf(lead, bin)
    const kept = `select ${names} from ${await tableRows(
      work,
      files.map(({ file }) => file),
    )} anti join (select * from doomed${range ? ` where ${range}` : ''}) using (${keyList(keys)})`
    const relation = range ? `${kept} union all select ${names} from fresh where ${range}` : kept
    add.push(...addFiles(work, await writeFiles(work, relation, ports), ports))
  }
  const elsewhere = `select ${names} from fresh where not exists (select 1 from key_bins where fresh.${lead} between key_bins.low and key_bins.high)`
  add.push(...addFiles(work, await writeFiles(work, elsewhere, ports), ports))

  const [counts] = await work.session.rows('select count(*) n from fresh')
  const remove = touched.map(({ file }) => file)
  return {
    add,
    remove,
    rowsRemoved: sum(touched, ({ matches }) => matches),
    rowsAdded: Number(counts!.n),
    bytesRead: sum(remove, ({ size }) => size),
    bytesWritten: sum(add, ({ size }) => size),
  }
}

const keyList = (keys: readonly Field[]) => columns(keys.map(physicalName))

const rangeOf = (lead: string, bin: number) =>
  `${lead} between (select low from key_bins where bin = ${bin}) and (select high from key_bins where bin = ${bin})`

function binned(touched: readonly TouchedFile[]): Map<number | undefined, TouchedFile[]> {
  return Map.groupBy(touched, ({ bin }) => bin)
}

const sum = <T>(items: readonly T[], of: (item: T) => number) => items.reduce((total, item) => total + of(item), 0)
