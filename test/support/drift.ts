import type { Stream } from '../../shared/connector/connector.ts'
import { type Message, type Row, upsert } from '../../shared/core/change.ts'
import type { Json } from '../../shared/core/json.ts'
import { readSnapshot } from '../../shared/delta/snapshot.ts'
import type { Engine } from '../../shared/load/engine.ts'
import { readTableSql } from '../../shared/load/read-table.ts'
import type { RejectedRow } from '../../shared/load/stage.ts'
import type { ResolvedTable } from '../../shared/pipeline/resolve.ts'
import { COLUMN_ID } from '../../shared/schema/column-marks.ts'
import { EVOLVE } from '../../shared/schema/schema-change.ts'
import { typeText } from '../../shared/schema/type-text.ts'
import type { Field } from '../../shared/schema/types.ts'
import { selectionOf } from '../../shared/sync/plan.ts'
import { column } from './delta.ts'
import { scripted } from './scripted-source.ts'
import { newWorld, resolved, runShop, type World } from './sync-world.ts'

export const root = 'main/shop/orders'
/** The columns of the first copy. */
export const before = [column('id'), column('price', 'integer')]
export const forms = ['rows', 'copy', 'ndjson', 'csv'] as const
export type Form = (typeof forms)[number]

/** The source's upserts in another form: its rows as text. */
function inForm(stream: Stream, chosen: Form): Stream {
  if (chosen === 'rows') return stream
  const form = chosen
  const names = stream.schema.fields.map(({ name }) => name)
  const lineOf = (row: Row) => {
    if (form === 'ndjson') return JSON.stringify([row], null, 1)
    const nothing = form === 'copy' ? '\\N' : ''
    return names.map((name) => row[name] ?? nothing).join(form === 'copy' ? '\t' : ',')
  }
  async function* told(messages: AsyncIterable<Message<Json>>): AsyncIterable<Message<Json>> {
    for await (const message of messages)
      if (message.op !== 'upsert') yield message
      else {
        // Blocks may end anywhere.
        const bytes = Buffer.from(`${lineOf(message.row)}\n`)
        for (const part of [bytes.subarray(0, 2), bytes.subarray(2)]) yield { op: 'block', format: form, bytes: part }
      }
  }
  return stream.kind === 'snapshot'
    ? { ...stream, read: (piece) => told(stream.read(piece)) }
    : {
        ...stream,
        backfill: (piece, cutoff) => told(stream.backfill(piece, cutoff)),
        changes: (after, options) => told(stream.changes(after, options)),
      }
}

interface Ran {
  world: World
  run: Awaited<ReturnType<typeof runShop>>
  table: ResolvedTable
  aside: RejectedRow[]
  rows: Record<string, unknown>[]
  columns: string[]
}

/** A table copied with the columns `before`, and one more run after the source has changed. */
export async function drifted(
  engine: Engine,
  policy: Partial<typeof EVOLVE>,
  change: { columns: readonly Field[]; rows: readonly Row[]; first?: readonly Field[] },
  options: { form?: Form; table?: Partial<ResolvedTable>; fullRefresh?: 'all' } = {},
): Promise<Ran> {
  const world = newWorld()
  const source = world.source.table('orders', { fields: change.first ?? before })
  source.history.push([upsert({ id: 1, price: 10 }), upsert({ id: 2, price: 20 })])
  const aside: RejectedRow[] = []
  const go = (more: object = {}) => {
    const table = resolved(world.source, 'orders', { schemaDrift: { ...EVOLVE, ...policy }, ...options.table })
    return runShop(world, [table], {
      engine: async () => engine,
      quarantine: () => async (rows) => void aside.push(...rows),
      open: async (chosen, notice) => {
        const signal = new AbortController().signal
        const ctx = await scripted.connect(world.source, { clock: world.clock, signal })
        const selection = selectionOf(chosen, { owner: 'shop', parallelism: 2, notice })
        return inForm(await scripted.open(ctx, chosen.source, selection), options.form ?? 'rows')
      },
      ...more,
    })
  }
  await go()
  source.schema = { fields: change.columns }
  source.history.push(change.rows.map(upsert))
  const run = await go(options.fullRefresh ? { fullRefresh: options.fullRefresh } : {})
  const table = resolved(world.source, 'orders')
  const snapshot = (await readSnapshot(world.storage, root))!
  return {
    world,
    run,
    table,
    aside,
    rows: await tableRows(engine, world),
    columns: snapshot.schema.fields.map(({ name, type }) => `${name} ${typeText(type)}`),
  }
}

/** The rows as an engine reads the table, sorted by id; integers as numbers. */
export async function tableRows(engine: Engine, world: World): Promise<Record<string, unknown>[]> {
  const snapshot = (await readSnapshot(world.storage, root))!
  const rows = await engine.session(async (session) =>
    session.rows(await readTableSql(session, world.storage, snapshot)),
  )
  return rows
    .map((row) =>
      Object.fromEntries(
        Object.entries(row).map(([name, value]) => [name, typeof value === 'bigint' ? Number(value) : value]),
      ),
    )
    .sort((a, b) => Number(a.id) - Number(b.id))
}

/** The schema changes that the last run told. */
export const told = ({ run }: Ran) =>
  run.told.flatMap((progress) => (progress.kind === 'schema_change' ? [progress.change] : []))

/** The ways of reading and of laying rows on a table. */
export const modes: [string, Partial<ResolvedTable>][] = [
  ['append', { mode: 'query', scdType: 'APPEND_ONLY' }],
  ['upserts', { mode: 'query', scdType: 'SCD_TYPE_1' }],
  ['capture', { mode: 'cdc', scdType: 'SCD_TYPE_1' }],
  ['snapshot', { mode: 'snapshot', scdType: 'SCD_TYPE_1' }],
]
/** A column with the source's own id. */
export const id = (name: string, number: number, kind: Parameters<typeof column>[1] = 'integer'): Field => ({
  ...column(name, kind),
  metadata: { [COLUMN_ID]: String(number) },
})

/** A number that becomes text. */
export const retyped = {
  columns: [column('id'), column('price', 'string')],
  rows: [
    { id: 3, price: '30' },
    { id: 4, price: 'dear' },
  ],
}
