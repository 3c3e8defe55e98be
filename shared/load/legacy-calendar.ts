import { IngestError } from '../core/errors.ts'
import type { AddFile } from '../delta/actions.ts'
import { columnBounds } from '../delta/skipping.ts'
import type { TableSnapshot } from '../delta/table.ts'
import { type Comparable, parseValue } from '../delta/values.ts'
import type { Field, LogicalType } from '../schema/types.ts'
import type { Session } from './engine.ts'
import { literal } from './sql.ts'

/** The first day of the Gregorian calendar: from it on the old way of Spark and the new one are the same. */
const GREGORIAN = '1582-10-15'

/**
 * Requires that no data file may hold dates of the Julian calendar. Spark before 3.0, and later ones in their `LEGACY` mode,
 * count the days before 1582-10-15 by it and say so in the file's footer; every other reader would be days off.
 * Footers are read only for files whose statistics do not rule out such dates.
 *
 * @throws IngestError `table.unsupported_feature` (fix) naming the file
 */
export async function checkCalendar(
  session: Session,
  table: TableSnapshot,
  files: readonly { add: AddFile; path: string }[],
  fields: readonly Field[],
): Promise<void> {
  const stored = fields.filter(({ name }) => !table.metadata.partitionColumns.includes(name))
  const doubtful = files.filter(({ add }) => stored.some((field) => mayBeOld(add, table, [field.name], field.type)))
  if (doubtful.length === 0) return
  const [found] = await session.rows(`
    select file_name from parquet_kv_metadata([${doubtful.map(({ path }) => literal(path)).join(', ')}])
    where decode(key) in ('org.apache.spark.legacyDateTime', 'org.apache.spark.legacyINT96')
      or decode(key) = 'org.apache.spark.version' and try_cast(string_split(decode(value), '.')[1] as integer) < 3
    limit 1`)
  if (!found) return
  const { add } = doubtful.find(({ path }) => path === found.file_name)!
  throw new IngestError(
    'table.unsupported_feature',
    `the data file ${add.path} of the table ${table.root} was written with Spark's legacy calendar and may hold dates before ${GREGORIAN}, which would be read wrong; write it again with Spark 3 in the mode CORRECTED`,
  )
}

/** False when the log proves that a column has no time before the Gregorian calendar. */
function mayBeOld(add: AddFile, table: TableSnapshot, path: readonly string[], type: LogicalType): boolean {
  switch (type.kind) {
    case 'date':
    case 'timestamp':
    case 'timestamp_ntz': {
      const min = columnBounds(add, table, path)?.min
      return min === undefined || min < first(type)
    }
    case 'struct':
      return type.fields.some((field) => mayBeOld(add, table, [...path, field.name], field.type))
    // Statistics say nothing of what is inside.
    case 'array':
      return mayBeOld(add, table, [], type.element)
    case 'map':
      return mayBeOld(add, table, [], type.key) || mayBeOld(add, table, [], type.value)
    default:
      return false
  }
}

const first = (type: LogicalType): Comparable => parseValue(GREGORIAN, type)!
