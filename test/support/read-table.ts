import { parquetReadObjects } from 'hyparquet'
import { readSnapshot } from '../../shared/delta/snapshot.ts'
import type { Storage } from '../../shared/storage/storage.ts'

/** All rows of a table's newest version, read by a reader that is not ours, in no order. */
export async function tableRows(storage: Storage, root: string): Promise<Record<string, unknown>[]> {
  return (await Array.fromAsync(tableFiles(storage, root))).flat()
}

/** One column of all rows, a file at a time, for tables whose rows are too many to hold. */
export async function* tableColumn(
  storage: Storage,
  root: string,
  column: string,
): AsyncIterable<Record<string, unknown>> {
  for await (const rows of tableFiles(storage, root, [column])) yield* rows
}

async function* tableFiles(
  storage: Storage,
  root: string,
  columns?: string[],
): AsyncGenerator<Record<string, unknown>[]> {
  const table = await readSnapshot(storage, root)
  if (!table) throw new Error(`there is no table ${root}`)
  for (const { path } of table.files.values()) {
    const bytes = await storage.get(`${root}/${decodeURIComponent(path)}`)
    if (!bytes) throw new Error(`the log names ${path}, which is not there`)
    const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer
    yield await parquetReadObjects({ file, ...(columns && { columns }) })
  }
}
