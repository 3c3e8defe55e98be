import { createHash } from 'node:crypto'
import type { Clock } from '../core/clock.ts'
import type { Random } from '../core/random.ts'
import type { AddFile } from '../delta/actions.ts'
import { physicalName } from '../delta/column-mapping.ts'
import type { Evolution } from '../delta/evolve.ts'
import { fileKey } from '../delta/file-path.ts'
import { intervalMs } from '../delta/interval.ts'
import { addFile } from '../delta/stats.ts'
import type { TableChange, TableSnapshot } from '../delta/table.ts'
import { deltaSchemaText } from '../schema/delta-schema.ts'
import type { Field } from '../schema/types.ts'
import type { Storage } from '../storage/storage.ts'
import type { Engine } from './engine.ts'
import { readTableSql } from './read-table.ts'
import { openWorkspace } from './workspace.ts'
import { writeFiles } from './write-files.ts'

export interface RetypePorts {
  engine: Engine
  storage: Storage
  clock: Clock
  random: Random
  signal?: AbortSignal
  /** No file but the first is begun after it, so that each call comes further. */
  deadlineMs?: number
}

const WEEK_MS = 7 * 86_400_000

/**
 * The change that gives a table wider column types: its metadata, and every file written again with them, so that every
 * reader of the protocol's first version still reads the table (decision 0012). File by file: rows keep their
 * neighbours. Change data feeds see nothing.
 *
 * Undefined when the deadline came first. Each file that was written again has a note in the table's hidden folder, so
 * the next call goes on after it, and so does one after a crash or a conflict.
 */
export async function retypeTable(
  table: TableSnapshot,
  evolution: Evolution,
  ports: RetypePorts,
): Promise<Pick<TableChange, 'add' | 'remove' | 'metadata' | 'protocol' | 'reads'> | undefined> {
  const { metadata, protocol, schema } = evolution
  const known = new Set(table.schema.fields.map(physicalName))
  // A column that comes at the same time is in no old row.
  const fields = schema.fields.filter(
    (field) => known.has(physicalName(field)) && !metadata.partitionColumns.includes(field.name),
  )
  const after: TableSnapshot = { ...table, metadata, schema, ...(protocol && { protocol }) }
  const notes = await openNotes(table, fields, ports)
  const overdue = () => ports.deadlineMs !== undefined && ports.clock.now() >= ports.deadlineMs
  const add: AddFile[] = []
  let begun = 0
  for (const file of table.files.values()) {
    ports.signal?.throwIfAborted()
    let written = await notes.of(file)
    if (!written) {
      if (begun++ > 0 && overdue()) return undefined
      written = await retypeFile(after, fields, file, ports)
      await notes.put(file, written)
    }
    add.push(...written)
  }
  return { add, remove: [...table.files.values()], metadata, ...(protocol && { protocol }), reads: 'files' }
}

async function retypeFile(
  table: TableSnapshot,
  fields: readonly Field[],
  file: AddFile,
  { engine, storage, clock, random }: RetypePorts,
): Promise<AddFile[]> {
  const written = await engine.session(async (session) => {
    const work = await openWorkspace(session, table, { storage, random })
    const rows = await readTableSql(session, storage, table, { files: [file], columns: fields, names: 'physical' })
    return writeFiles(work, rows, { random }, { fields })
  })
  return written.map((one) =>
    addFile(one.name, one, { fields }, table.metadata, {
      modificationTimeMs: clock.now(),
      partitionValues: file.partitionValues,
      ...(file.tags ? { tags: file.tags as Record<string, string> } : {}),
    }),
  )
}

/** What each file became, by the file and the types it was given. Vacuum takes the notes. */
async function openNotes(table: TableSnapshot, fields: readonly Field[], { storage, clock }: RetypePorts) {
  const retentionMs = intervalMs(table.metadata.configuration['delta.deletedFileRetentionDuration'], WEEK_MS)
  const folder = `${table.root}/_lakeflow/retyped/${shortHash(deltaSchemaText({ fields }))}/`
  const pathOf = (file: AddFile) => `${folder}${shortHash(fileKey(file))}.json`
  const found = new Set<string>()
  // In no log yet, what is older than the retention may be deleted at any moment.
  for await (const { path, modifiedAtMs } of storage.list(folder))
    if (clock.now() - modifiedAtMs < retentionMs / 2) found.add(path)
  return {
    async of(file: AddFile): Promise<AddFile[] | undefined> {
      const bytes = found.has(pathOf(file)) ? await storage.get(pathOf(file)) : undefined
      return bytes && (JSON.parse(new TextDecoder().decode(bytes)) as AddFile[])
    },
    put: (file: AddFile, written: readonly AddFile[]) =>
      storage.put(pathOf(file), new TextEncoder().encode(JSON.stringify(written))),
  }
}

const shortHash = (text: string) => createHash('sha256').update(text).digest('base64url').slice(0, 22)
