import type { Clock } from '../core/clock.ts'
import type { Random } from '../core/random.ts'
import type { AddFile } from '../delta/actions.ts'
import type { Evolution } from '../delta/evolve.ts'
import { addFile } from '../delta/stats.ts'
import type { TableChange, TableSnapshot } from '../delta/table.ts'
import type { Storage } from '../storage/storage.ts'
import type { Engine } from './engine.ts'
import { readTableSql } from './read-table.ts'
import { openWorkspace } from './workspace.ts'
import { writeFiles } from './write-files.ts'

/**
 * The change that gives a table wider column types: its metadata, and every file written again with them, so that every
 * reader of the protocol's first version still reads the table (decision 0012). File by file: rows keep their
 * neighbours. Change data feeds see nothing.
 */
export async function retypeTable(
  table: TableSnapshot,
  evolution: Evolution,
  ports: { engine: Engine; storage: Storage; clock: Clock; random: Random; signal?: AbortSignal },
): Promise<Pick<TableChange, 'add' | 'remove' | 'metadata' | 'protocol' | 'reads'>> {
  const { storage, clock, random } = ports
  const { metadata, protocol, schema } = evolution
  const after: TableSnapshot = { ...table, metadata, schema, ...(protocol && { protocol }) }
  const fields = schema.fields.filter(({ name }) => !metadata.partitionColumns.includes(name))
  const add: AddFile[] = []
  for (const file of table.files.values()) {
    ports.signal?.throwIfAborted()
    const written = await ports.engine.session(async (session) => {
      const work = await openWorkspace(session, after, { storage, random })
      const rows = await readTableSql(session, storage, after, { files: [file], columns: fields, names: 'physical' })
      return writeFiles(work, rows, { random }, { fields })
    })
    for (const one of written)
      add.push(
        addFile(one.name, one, { fields }, metadata, {
          modificationTimeMs: clock.now(),
          partitionValues: file.partitionValues,
          ...(file.tags ? { tags: file.tags as Record<string, string> } : {}),
        }),
      )
  }
  return { add, remove: [...table.files.values()], metadata, ...(protocol && { protocol }), reads: 'files' }
}
