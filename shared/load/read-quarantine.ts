import { readSnapshot } from '../delta/snapshot.ts'
import { tableRoot } from '../delta/table-root.ts'
import { findField } from '../schema/names.ts'
import type { Engine } from './engine.ts'
import { quarantineOf } from './quarantine.ts'
import { readTableSql } from './read-table.ts'
import { literal } from './sql.ts'
import { commitLog, type TargetPorts } from './target.ts'
import { openWorkspace } from './workspace.ts'
import { addFiles, writeFiles } from './write-files.ts'

/** A row that was set aside and can be read again. */
export interface QuarantinedRow {
  id: string
  form: 'rows' | 'copy' | 'csv' | 'ndjson'
  /** The columns of the row, in its order, where its form has no names. */
  columns: readonly string[]
  loadId: string
  row: string
}

type Name = { catalog: string; schema: string; table: string }
type Ports = TargetPorts & { engine: () => Promise<Engine> }

/** The rows of a table's quarantine, each once, oldest first. Those whose row is not kept are not among them. */
export async function readQuarantine(table: Name, ports: Ports): Promise<QuarantinedRow[]> {
  const snapshot = await readSnapshot(ports.storage, tableRoot(quarantineOf(table)))
  // Rows set aside by a version that did not say how to read them are left alone.
  if (!snapshot || !findField(snapshot.schema.fields, 'form')) return []
  const engine = await ports.engine()
  const rows = await engine.session(async (session) =>
    session.rows(
      `select id, min_by(form, set_aside_at) form, min_by(row_columns, set_aside_at) row_columns, min_by(load_id, set_aside_at) load_id, min_by("row", set_aside_at) "row"
       from (${await readTableSql(session, ports.storage, snapshot)}) where form is not null group by id order by min(set_aside_at), id`,
    ),
  )
  return rows.map((row) => ({
    id: String(row.id),
    form: row.form as QuarantinedRow['form'],
    columns: row.row_columns === null ? [] : (JSON.parse(String(row.row_columns)) as string[]),
    loadId: String(row.load_id),
    row: String(row.row),
  }))
}

/** Takes rows out of a table's quarantine, in one commit. Those that are not there any more are passed over. */
export async function removeQuarantined(table: Name, ids: readonly string[], ports: Ports): Promise<void> {
  const first = await readSnapshot(ports.storage, tableRoot(quarantineOf(table)))
  if (!first || ids.length === 0) return
  const log = commitLog(first, ports)
  const engine = await ports.engine()
  for (;;) {
    const snapshot = await log.read()
    const change = await engine.session(async (session) => {
      const gone = `id in (${ids.map(literal).join(', ')})`
      const work = await openWorkspace(session, snapshot, ports)
      const all = await readTableSql(session, ports.storage, snapshot, { names: 'physical' })
      const [found] = await session.rows(`select count(*) n from (${all}) where ${gone}`)
      if (Number(found!.n) === 0) return undefined
      const files = await writeFiles(work, `from (${all}) where not coalesce(${gone}, false)`, ports)
      return { add: addFiles(work, files, ports), remove: [...snapshot.files.values()] }
    })
    if (!change) return
    const operation = { operation: 'DELETE', operationParameters: { predicate: '["id in (replayed)"]' } }
    const done = await log.commit(snapshot, { ...operation, ...change, reads: 'table' })
    if (done.kind === 'committed') return
  }
}
