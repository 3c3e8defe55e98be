import type { Row } from '../core/change.ts'
import { invariant } from '../core/errors.ts'
import { addFile } from '../delta/stats.ts'
import { tableRoot } from '../delta/table-root.ts'
import type { Schema } from '../schema/types.ts'
import { openStage, type RejectedRow } from './stage.ts'
import { openTarget, type TargetPorts } from './target.ts'

/** What a quarantine table holds: why a row was set aside, and the row as it came. */
const schema: Schema = {
  fields: (
    [
      ['run_id', 'string'],
      ['set_aside_at', 'timestamp'],
      ['column', 'string'],
      ['code', 'string'],
      ['got', 'string'],
      ['wanted', 'string'],
      ['row', 'string'],
    ] as const
  ).map(([name, kind]) => ({ name, type: { kind }, nullable: true })),
}

/** `main.shop.orders` -> `main.shop.orders__quarantine`. */
export const quarantineOf = <T extends { table: string }>(name: T): T => ({
  ...name,
  table: `${name.table}__quarantine`,
})

/**
 * Appends rows that do not fit to the quarantine table beside their table; it is made with its first row. They are
 * durable and queryable when it resolves. A crash right after it may set the same rows aside once more: `run_id` tells.
 */
export async function appendQuarantine(
  table: { catalog: string; schema: string; table: string },
  rows: readonly RejectedRow[],
  { runId, owner }: { runId: string; owner: string },
  ports: TargetPorts,
): Promise<void> {
  const name = quarantineOf(table)
  const root = tableRoot(name)
  const log = await openTarget(
    { root, name: Object.values(name).join('.'), owner: `${owner}/quarantine`, schema },
    ports,
  )
  const snapshot = await log.read()
  const stage = openStage({
    storage: ports.storage,
    folder: root,
    schema: snapshot.schema,
    holds: 'rows',
    random: ports.random,
    onRejected: () => invariant(false, 'a row of the quarantine table does not fit it'),
  })
  try {
    const setAsideAt = new Date(ports.clock.now())
    for (const { rejection, payload } of rows) {
      const { column, code, got, wanted } = rejection
      const row: Row = { run_id: runId, set_aside_at: setAsideAt, column, code, got, wanted, row: textOf(payload) }
      await stage.write({ op: 'upsert', row })
    }
    const files = await stage.flush()
    const add = files.map((file) =>
      addFile(file.name, file, snapshot.schema, snapshot.metadata, { modificationTimeMs: ports.clock.now() }),
    )
    const done = await log.commit(snapshot, {
      operation: 'WRITE',
      operationParameters: { mode: 'Append' },
      add,
      reads: 'nothing',
    })
    invariant(done.kind === 'committed', `a blind append came back as ${done.kind}`)
  } finally {
    await stage.abort()
  }
}

/** Bytes as text, whatever they are; values as JSON. */
function textOf(payload: RejectedRow['payload']): string | null {
  if (payload === undefined) return null
  if (payload instanceof Uint8Array) return new TextDecoder().decode(payload).replace(/\r?\n$/, '')
  return JSON.stringify(payload, (_key, value) =>
    typeof value === 'bigint'
      ? String(value)
      : value instanceof Uint8Array
        ? Buffer.from(value).toString('base64')
        : value,
  )
}
