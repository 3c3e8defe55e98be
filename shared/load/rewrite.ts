import type { Clock } from '../core/clock.ts'
import type { Random } from '../core/random.ts'
import type { AddFile, CdcFile } from '../delta/actions.ts'
import { hasChangeFeed } from '../delta/change-feed.ts'
import { physicalName } from '../delta/column-mapping.ts'
import type { Field } from '../schema/types.ts'
import { writeChangeFeed } from './change-feed.ts'
import { markDeleted, marksDeleted } from './mark-deleted.ts'
import { partitionSql } from './read-table.ts'
import { type Bin, touchedFiles } from './skip-files.ts'
import { columns, quoted } from './sql.ts'
import { partitionFields, storedNames, tableRows, type Workspace } from './workspace.ts'
import { addFiles, copyOut, storeFiles } from './write-files.ts'

/** Old files out, new files in. */
export interface Replacement {
  add: AddFile[]
  remove: AddFile[]
  /** The changes row by row, where the table keeps a change data feed. */
  cdc: CdcFile[]
  /** Rows taken out of the table, and rows put in. An update is one of each. */
  rowsRemoved: number
  rowsAdded: number
  bytesRead: number
  bytesWritten: number
}

interface Ports {
  clock: Clock
  random: Random
}

/**
 * Takes the rows with a key of the temporary table `doomed` out of the table, and puts the rows of `fresh` in: files
 * that hold no doomed row stay as they are. `doomed` has the columns `keys`; `fresh` has all of the table's, and its keys
 * are either doomed or new.
 *
 * A fresh row goes where its key's neighbours are, so that files keep the narrow key ranges which the next merge skips
 * by; one whose key falls between the rewritten files goes to a file of new rows. In a table with
 * `delta.enableDeletionVectors` old rows are marked instead, and all fresh rows go to new files.
 */
export async function replaceRows(work: Workspace, keys: readonly Field[], ports: Ports): Promise<Replacement> {
  const bins = await touchedFiles(work, 'doomed', keys)
  const remove = bins.flatMap(({ files }) => files)
  const marked = marksDeleted(work)
    ? await markDeleted(work, remove, keys, ports)
    : { add: [], marked: 0, unmarked: remove }
  const rewritten = new Set(marked.unmarked)
  const open = bins
    .map((bin) => ({ ...bin, files: bin.files.filter((file) => rewritten.has(file)) }))
    .filter(({ files }) => files.length > 0)
  const written = await rewriteBins(work, open, keys, ports)
  const names = columns(storedNames(work))
  const before = `select ${names} from ${await tableRows(work, remove)} semi join doomed using (${keyList(keys)})`
  const [counts] = await work.session.rows(`
    select (select count(*) from fresh) as fresh, (select count(*) from ${await tableRows(work, marked.unmarked)}) as before`)
  const rowsAdded = Number(counts!.fresh)
  const rowsKept = written.rows - rowsAdded
  return {
    add: [...marked.add, ...written.add],
    remove,
    cdc: hasChangeFeed(work.table.metadata) ? await writeChangeFeed(work, before, keys, ports) : [],
    rowsRemoved: marked.marked + Number(counts!.before) - rowsKept,
    rowsAdded,
    bytesRead: bytesOf(marked.unmarked),
    bytesWritten: bytesOf(written.add),
  }
}

/**
 * What is left of the bins' files, and the fresh rows. A file is stored while the engine makes the next one. Each file is
 * of one partition.
 */
async function rewriteBins(work: Workspace, bins: readonly Bin[], keys: readonly Field[], ports: Ports) {
  const lead = quoted(physicalName(keys[0]!))
  const partitions = partitionFields(work)
  const fields = work.fields.filter((field) => !partitions.includes(field))
  const names = columns(fields.map(physicalName))
  const stores: Promise<AddFile[]>[] = []
  let rows = 0
  const write = async (relation: string, partitionValues: AddFile['partitionValues']) => {
    const local = await copyOut(work, relation, ports, { fields })
    const store = storeFiles(work, local, ports, { fields }).then((files) => {
      rows += files.reduce((sum, file) => sum + file.rows, 0)
      return addFiles(work, files, ports, partitionValues)
    })
    // It is awaited below; until then a failure must not count as unhandled.
    store.catch(() => {})
    stores.push(store)
  }
  const inPartition = (values: AddFile['partitionValues']) =>
    partitions.map((field) => {
      const name = physicalName(field)
      return `${quoted(name)} is not distinct from ${partitionSql(field, values[name])}`
    })

  try {
    const taken: string[] = []
    for (const { files, range } of bins) {
      const { partitionValues } = files[0]!
      const inRange = range ? [`${lead} between ${range.low} and ${range.high}`] : []
      const doomed = `(select * from doomed ${range ? `where ${inRange[0]}` : ''})`
      const kept = `select ${names} from ${await tableRows(work, files)} anti join ${doomed} using (${keyList(keys)})`
      const inside = [...inRange, ...inPartition(partitionValues)].join(' and ')
      if (range) taken.push(`(${inside})`)
      await write(range ? `${kept} union all select ${names} from fresh where ${inside}` : kept, partitionValues)
    }
    const rest = taken.length > 0 ? [`not (${taken.join(' or ')})`] : []
    for (const values of await freshPartitions(work, partitions, rest)) {
      const where = [...rest, ...inPartition(values)]
      await write(`select ${names} from fresh${where.length > 0 ? ` where ${where.join(' and ')}` : ''}`, values)
    }
  } finally {
    await Promise.allSettled(stores)
  }
  return { add: (await Promise.all(stores)).flat(), rows }
}

/** The partitions of fresh rows, as the log writes their values; of an unpartitioned table there is one. */
async function freshPartitions(
  { session }: Workspace,
  fields: readonly Field[],
  where: readonly string[],
): Promise<AddFile['partitionValues'][]> {
  if (fields.length === 0) return [{}]
  const values = fields.map((field) => {
    const name = quoted(physicalName(field))
    const isTime = field.type.kind === 'timestamp' || field.type.kind === 'timestamp_ntz'
    return `${isTime ? `strftime(${name}, '%Y-%m-%d %H:%M:%S.%f')` : `${name}::varchar`} as ${name}`
  })
  const rows = await session.rows(
    `select distinct ${values.join(', ')} from fresh ${where.length > 0 ? `where ${where.join(' and ')}` : ''}`,
  )
  return rows as AddFile['partitionValues'][]
}

const keyList = (keys: readonly Field[]) => columns(keys.map(physicalName))

const bytesOf = (files: readonly AddFile[]) => files.reduce((total, { size }) => total + size, 0)
