import type { Clock } from '../core/clock.ts'
import type { Random } from '../core/random.ts'
import type { AddFile } from '../delta/actions.ts'
import { physicalName } from '../delta/column-mapping.ts'
import type { Field } from '../schema/types.ts'
import { touchedFiles } from './skip-files.ts'
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
  const { bins, matches } = await touchedFiles(work, 'doomed', keys)
  const lead = quoted(physicalName(keys[0]!))
  const names = columns(storedNames(work))
  const ranges = bins.flatMap(({ range }) => (range ? [`(${lead} between ${range.low} and ${range.high})`] : []))
  const add: AddFile[] = []
  const write = async (relation: string) => {
    add.push(...addFiles(work, await writeFiles(work, relation, ports), ports))
  }

  for (const { files, range } of bins) {
    const inside = range ? `where ${lead} between ${range.low} and ${range.high}` : ''
    const kept = `
      select ${names} from ${await tableRows(work, files)}
      anti join (select * from doomed ${inside}) using (${columns(keys.map(physicalName))})`
    await write(range ? `${kept} union all select ${names} from fresh ${inside}` : kept)
  }
  await write(`select ${names} from fresh${ranges.length > 0 ? ` where not (${ranges.join(' or ')})` : ''}`)

  const [counts] = await work.session.rows('select count(*) n from fresh')
  const remove = bins.flatMap(({ files }) => files)
  return {
    add,
    remove,
    rowsRemoved: matches,
    rowsAdded: Number(counts!.n),
    bytesRead: sum(remove),
    bytesWritten: sum(add),
  }
}

const sum = (files: readonly AddFile[]) => files.reduce((total, { size }) => total + size, 0)
