import { createHash } from 'node:crypto'
import type { Row } from '../core/change.ts'
import { invariant } from '../core/errors.ts'
import { addColumns } from '../delta/evolve.ts'
import { addFile } from '../delta/stats.ts'
import { tableRoot } from '../delta/table-root.ts'
import type { Schema } from '../schema/types.ts'
import type { CommitLog } from './commit-once.ts'
import { openStage, type RejectedRow } from './stage.ts'
import { openTarget, type TargetPorts, withoutSchema } from './target.ts'

/** What a quarantine table holds: why a row was set aside, the row as it came, and what it takes to read it again. */
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
      ['id', 'string'],
      ['form', 'string'],
      ['row_columns', 'string'],
      ['load_id', 'string'],
    ] as const
  ).map(([name, kind]) => ({ name, type: { kind }, nullable: true })),
}

/** `main.shop.orders` -> `main.shop.orders__quarantine`. */
export const quarantineOf = <T extends { table: string }>(name: T): T => ({
  ...name,
  table: `${name.table}__quarantine`,
})

/** Where in a stream rows were set aside. */
export interface Place {
  /** The full copy they are of, or that their changes follow. */
  loadId: string
  /** Read again from here, the same rows come again. */
  cursor: string
}

/**
 * Appends rows that do not fit to the quarantine table beside their table; it is made with its first row. They are
 * durable and queryable when it resolves. A crash right after it may set the same rows aside once more, under the same
 * `id`: it is made of their place and the row itself.
 */
export async function appendQuarantine(
  table: { catalog: string; schema: string; table: string },
  rows: readonly RejectedRow[],
  { runId, owner, place }: { runId: string; owner: string; place: Place },
  ports: TargetPorts,
): Promise<void> {
  const name = quarantineOf(table)
  const root = tableRoot(name)
  const log = await openTarget(
    { root, name: Object.values(name).join('.'), owner: `${owner}/quarantine`, schema },
    ports,
  )
  const snapshot = await withAllColumns(log, ports)
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
    const ids = new Ids(place)
    for (const { rejection, payload, form, columns } of rows) {
      const { column, code, got, wanted } = rejection
      const text = textOf(payload)
      const row: Row = {
        run_id: runId,
        set_aside_at: setAsideAt,
        column,
        code,
        got,
        wanted,
        row: text,
        id: ids.of(text),
        form: text === null ? null : form,
        row_columns: columns ? JSON.stringify(columns) : null,
        load_id: place.loadId,
      }
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

/** A quarantine table of an older version lacks the newer columns. */
async function withAllColumns(log: CommitLog, { random }: TargetPorts) {
  for (;;) {
    const snapshot = await log.read()
    const evolution = addColumns(snapshot, schema.fields, random)
    if (!evolution) return snapshot
    await log.commit(snapshot, { operation: 'ADD COLUMNS', ...withoutSchema(evolution), reads: 'table' })
  }
}

/** Rows of one place that are the same get different ids. */
class Ids {
  readonly #place: string
  readonly #seen = new Map<string, number>()

  constructor({ loadId, cursor }: Place) {
    this.#place = JSON.stringify([loadId, cursor])
  }

  of(text: string | null): string {
    const hash = createHash('sha256')
      .update(this.#place)
      .update(text ?? '')
      .digest('hex')
      .slice(0, 32)
    const before = this.#seen.get(hash) ?? 0
    this.#seen.set(hash, before + 1)
    return before === 0 ? hash : `${hash}-${before}`
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
