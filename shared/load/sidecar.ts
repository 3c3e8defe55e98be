import type { Clock } from '../core/clock.ts'
import type { Random } from '../core/random.ts'
import { mapFields, physicalName } from '../delta/column-mapping.ts'
import { commit, createTable } from '../delta/commit.ts'
import { newTable } from '../delta/new-table.ts'
import { readSnapshot } from '../delta/snapshot.ts'
import type { TableChange, TableSnapshot } from '../delta/table.ts'
import type { Field } from '../schema/types.ts'
import { changeFields } from './changes.ts'
import { candidateFiles } from './skip-files.ts'
import { columns, quoted } from './sql.ts'
import { storedNames, tableRows, type Workspace } from './workspace.ts'
import { addFiles, writeFiles } from './write-files.ts'

/** When a change was remembered. */
export const RECORDED = '__recorded_at'
const recordedField: Field = { name: RECORDED, type: { kind: 'timestamp' }, nullable: true }

/** Small files of memories are written as one past this many; what is older than the retention is left out then. */
const MAX_FILES = 16

/**
 * Where the sidecar of a table is: the changes a table's rows do not tell of, and which a late change may need: deletes, and versions that looked like
 * their neighbours. They are a Delta table of their own, out of sight inside the table's folder.
 *
 * It is only added to, and each row is a fact about the source: true whether or not the commit it was made for happens.
 * So it is committed before the table, and a crash in between changes nothing (decision 0011). A full refresh begins a new one by changing `EPOCH`.
 */
export function sidecarRoot(table: TableSnapshot): string {
  return `${table.root}/_lakeflow/changes-${table.metadata.configuration[EPOCH] ?? '0'}`
}

/** The table property that says which sidecar is the table's own. */
export const EPOCH = 'lakeflow.epoch'

/** The memories of a table; undefined while there are none. */
export async function openSidecar(work: Workspace): Promise<Workspace | undefined> {
  const table = await readSnapshot(work.storage, sidecarRoot(work.table))
  return table && { ...work, table, fields: sidecarFields(work) }
}

/** Remembered changes of the keys in `keyTable`, as a relation with the columns of staged changes. */
export async function remembered(
  sidecar: Workspace,
  keyTable: string,
  keys: readonly Field[],
): Promise<string | undefined> {
  const files = await candidateFiles(sidecar, keyTable, keys[0]!)
  return files.length === 0 ? undefined : await tableRows(sidecar, files)
}

/**
 * Remembers the rows of a relation with the table's columns and those of `changeFields`. Durable when it resolves.
 * Memories older than `retentionMs` are forgotten some time: a change that comes later than that is taken as new.
 */
export async function remember(
  work: Workspace,
  relation: string,
  ports: { clock: Clock; random: Random },
  retentionMs: number,
): Promise<void> {
  const { storage, table } = work
  const root = sidecarRoot(table)
  const instant = (ms: number) => `make_timestamptz(${ms * 1000})`
  const fields = sidecarFields(work)
  const names = columns([...storedNames(work), ...changeFields.map(({ name }) => name)])
  const fresh = `select ${names}, ${instant(ports.clock.now())} ${quoted(RECORDED)} from (${relation})`

  for (;;) {
    const empty = newTable({ fields }, ports, { name: 'changes' })
    const known = await readSnapshot(storage, root)
    const sidecar: Workspace = { ...work, fields, table: { ...table, root, ...empty, ...known, schema: empty.schema } }
    const old = known && known.files.size >= MAX_FILES ? [...known.files.values()] : []
    const kept = `select ${columns(storedNames(sidecar))} from ${await tableRows(sidecar, old)}
      where ${quoted(RECORDED)} >= ${instant(ports.clock.now() - retentionMs)}`
    const files = await writeFiles(sidecar, old.length > 0 ? `${fresh} union all ${kept}` : fresh, ports)
    if (files.length === 0) return

    const { metadata } = empty
    const grown = known && known.metadata.schemaString !== metadata.schemaString
    const change: TableChange = {
      operation: 'WRITE',
      add: addFiles(sidecar, files, ports),
      remove: old,
      reads: old.length > 0 ? 'files' : 'nothing',
      ...(grown ? { metadata: { ...known.metadata, schemaString: metadata.schemaString } } : {}),
    }
    const commitPorts = { ...ports, storage }
    const result = known
      ? await commit(known, change, commitPorts)
      : await createTable(root, { ...empty, ...change }, commitPorts)
    if (result.kind === 'committed') return
  }
}

/** The sidecar's columns: the table's as its data files name them, so that a rename there changes nothing here. */
function sidecarFields(work: Workspace): Field[] {
  return [...work.fields.map(unmapped), ...changeFields, recordedField]
}

function unmapped(field: Field): Field {
  return { name: physicalName(field), type: mapFields(field.type, unmapped), nullable: true }
}
