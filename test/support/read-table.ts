import { parquetReadObjects } from 'hyparquet'
import { readSnapshot } from '../../shared/delta/snapshot.ts'
import type { Storage } from '../../shared/storage/storage.ts'

/** All rows of a table's newest version, read by a reader that is not ours, in no order. */
export async function tableRows(storage: Storage, root: string): Promise<Record<string, unknown>[]> {
  const table = await readSnapshot(storage, root)
  if (!table) throw new Error(`there is no table ${root}`)
  const rows: Record<string, unknown>[] = []
  for (const file of table.files.values()) {
    const bytes = await storage.get(`${root}/${decodeURIComponent(file.path)}`)
    if (!bytes) throw new Error(`the log names ${file.path}, which is not there`)
    const whole = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer
    rows.push(...(await parquetReadObjects({ file: whole })))
  }
  return rows
}
