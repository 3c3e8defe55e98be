import { afterAll, expect, test } from '@jest/globals'
import { upsert } from '../../../shared/core/change.ts'
import { readSnapshot } from '../../../shared/delta/snapshot.ts'
import { openEngine } from '../../../shared/load/engine.ts'
import type { DriftAction } from '../../../shared/schema/schema-change.ts'
import type { Field } from '../../../shared/schema/types.ts'
import { listEvents } from '../../../shared/state/events.ts'
import { column } from '../../support/delta.ts'
import { before, drifted, forms, id, modes, retyped, root, tableRows, told } from '../../support/drift.ts'
import { newWorld, resolved, runShop } from '../../support/sync-world.ts'
import { temporaryFolder } from '../../support/temporary-folder.ts'

const temporary = await temporaryFolder()
const engine = await openEngine({ scratch: temporary.folder, threads: 1 })
afterAll(async () => {
  engine.close()
  await temporary.remove()
})

/** Every form of rows, and every way of laying them on a table; all pairs in a soak. */
const everyForm = forms
  .flatMap((form) => modes.map(([name, table]) => ({ form, name, table })))
  .filter(({ form, name }) => process.env.SOAK || name === 'append' || (form === 'copy' && name !== 'upserts'))

const added = {
  columns: [...before, column('color', 'string')],
  rows: [
    { id: 3, price: 30 },
    { id: 4, price: 40, color: 'red' },
  ],
}

test.each(everyForm)('a new column is added: $form, $name', async ({ form, table }) => {
  const ran = await drifted(engine, {}, added, { form, table })

  expect(ran.rows).toEqual([
    { id: 1, price: 10, color: null },
    { id: 2, price: 20, color: null },
    { id: 3, price: 30, color: null },
    { id: 4, price: 40, color: 'red' },
  ])
  expect(told(ran)).toEqual([
    { kind: 'column_added', column: 'color', before: null, after: 'string', action: 'evolve', outcome: 'is added' },
  ])
  expect(ran.run.streams).toMatchObject([{ state: 'COMPLETED', schemaChanges: 1, rejected: 0 }])
})

test.each(everyForm)('columns: discard_row sets rows with a new value aside: $form, $name', async ({ form, table }) => {
  const ran = await drifted(engine, { columns: 'discard_row' }, added, { form, table })

  expect(ran.columns).toEqual(['id long', 'price integer'])
  expect(ran.rows.map(({ id }) => id)).toEqual([1, 2, 3])
  expect(ran.aside).toMatchObject([{ rejection: { column: 'color', code: 'unknown_field' } }])
  expect(ran.run.streams).toMatchObject([{ state: 'COMPLETED', schemaChanges: 1, rejected: 1 }])
})

test.each(everyForm)('columns: discard_value drops new values: $form, $name', async ({ form, table }) => {
  const ran = await drifted(engine, { columns: 'discard_value' }, added, { form, table })

  expect(ran.columns).toEqual(['id long', 'price integer'])
  expect(ran.rows.map(({ id, price }) => [id, price])).toEqual([
    [1, 10],
    [2, 20],
    [3, 30],
    [4, 40],
  ])
  expect(ran.aside).toEqual([])
  expect(told(ran)).toMatchObject([
    { kind: 'column_added', action: 'discard_value', outcome: 'its values are dropped' },
  ])
})

test.each(everyForm)(
  'data_type: discard_row sets values aside that do not fit: $form, $name',
  async ({ form, table }) => {
    const ran = await drifted(engine, { dataType: 'discard_row' }, retyped, { form, table })

    expect(ran.columns).toEqual(['id long', 'price integer'])
    expect(ran.rows.map(({ id, price }) => [id, price])).toEqual([
      [1, 10],
      [2, 20],
      [3, 30],
    ])
    expect(ran.aside).toMatchObject([{ rejection: { column: 'price' } }])
  },
)

test.each(everyForm)('data_type: discard_value drops values that do not fit: $form, $name', async ({ form, table }) => {
  const ran = await drifted(engine, { dataType: 'discard_value' }, retyped, { form, table })

  expect(ran.columns).toEqual(['id long', 'price integer'])
  expect(ran.rows.map(({ id, price }) => [id, price])).toEqual([
    [1, 10],
    [2, 20],
    [3, 30],
    [4, null],
  ])
  expect(ran.aside).toEqual([])
})

test.each(everyForm.filter(({ name }) => name !== 'snapshot'))(
  'an incompatible type goes to a column beside the old one: $form, $name',
  async ({ form, table }) => {
    const ran = await drifted(engine, {}, retyped, { form, table })

    expect(ran.columns).toEqual(['id long', 'price integer', 'price__string string'])
    expect(ran.rows).toEqual([
      { id: 1, price: 10, price__string: null },
      { id: 2, price: 20, price__string: null },
      { id: 3, price: null, price__string: '30' },
      { id: 4, price: null, price__string: 'dear' },
    ])
    expect(told(ran)).toMatchObject([
      { kind: 'type_changed', column: 'price', before: 'integer', after: 'string', outcome: 'goes to price__string' },
    ])
  },
)

test('a table that is read whole takes the new type with the new rows', async () => {
  const ran = await drifted(engine, {}, retyped, { form: 'copy', table: { mode: 'snapshot', scdType: 'SCD_TYPE_1' } })

  expect(ran.columns).toEqual(['id long', 'price string'])
  expect(ran.rows.map(({ price }) => price)).toEqual(['10', '20', '30', 'dear'])
})

const widened = { columns: [column('id'), column('price', 'long')], rows: [{ id: 3, price: 5_000_000_000 }] }

test.each(everyForm)(
  'a wider type is taken, and old files are written again: $form, $name',
  async ({ form, table }) => {
    const ran = await drifted(engine, {}, widened, { form, table })

    expect(ran.columns).toEqual(['id long', 'price long'])
    expect(ran.rows.map(({ price }) => price)).toEqual([10, 20, 5_000_000_000])
    expect(told(ran)).toMatchObject([{ kind: 'type_widened', before: 'integer', after: 'long' }])
    const { protocol } = (await readSnapshot(ran.world.storage, root))!
    expect(protocol.minReaderVersion).toBe(1)
  },
)

test.each(['tables', 'columns', 'dataType'] as const)('freeze of %s stops for nothing else', async (part) => {
  const ran = await drifted(engine, { [part]: 'freeze' }, { columns: before, rows: [{ id: 3, price: 30 }] })

  expect(ran.run.streams).toMatchObject([{ state: 'COMPLETED' }])
})

const frozen: [string, 'columns' | 'dataType', readonly Field[], RegExp][] = [
  [
    'a new column',
    'columns',
    added.columns,
    /new column color \(string\).*freezes columns.*--full-refresh=main.shop.orders/,
  ],
  ['a column that is gone', 'columns', [column('id')], /no column price \(integer\) any more/],
  [
    'a wider type',
    'dataType',
    widened.columns,
    /price is integer in the table and long in the source now.*data_type: evolve/,
  ],
  ['another type', 'dataType', retyped.columns, /price is integer in the table and string in the source now/],
]

test.each(
  frozen.flatMap((each) =>
    modes.map(([name, table]) => ({ what: each[0], part: each[1], fields: each[2], error: each[3], name, table })),
  ),
)('freeze stops the stream for $what and changes nothing: $name', async ({ part, fields, error, table }) => {
  const ran = await drifted(engine, { [part]: 'freeze' }, { columns: fields, rows: [{ id: 3, price: 30 }] }, { table })

  expect(ran.run.streams).toMatchObject([{ state: 'FAILED', error: { code: 'table.schema_frozen', remedy: 'fix' } }])
  expect(ran.run.streams[0]!.error!.message).toMatch(error)
  expect(ran.columns).toEqual(['id long', 'price integer'])
  expect(ran.rows).toHaveLength(2)
  const events = await listEvents(ran.world.state, 'shop', { run: ran.run.id })
  expect(events).toContainEqual(
    expect.objectContaining({
      event_type: 'schema_change',
      level: 'WARN',
      details: { schema_change: expect.objectContaining({ policy: 'freeze', outcome: 'stops the stream' }) },
    }),
  )
})

test('who asks for a full refresh takes the source as it is, whatever is frozen', async () => {
  const ran = await drifted(engine, { columns: 'freeze', dataType: 'freeze' }, retyped, {
    form: 'copy',
    fullRefresh: 'all',
  })

  expect(ran.run.streams).toMatchObject([{ state: 'COMPLETED', rejected: 0 }])
  expect(ran.columns).toEqual(['id long', 'price string'])
})

test.each(modes)('a column that goes stays and is null, and is taken back when it returns: %s', async (_, table) => {
  const gone = await drifted(engine, {}, { columns: [column('id')], rows: [{ id: 3 }] }, { table })
  const left = gone.rows.map(({ price }) => price)
  const { world } = gone
  world.source.tables.get('orders')!.schema = { fields: before }
  world.source.tables.get('orders')!.history.push([upsert({ id: 4, price: 40 })])

  const quiet = resolved(world.source, 'orders', table)
  const run = await runShop(world, [quiet], { engine: async () => engine })
  const again = await runShop(world, [quiet], { engine: async () => engine })

  expect(left).toEqual(table.mode === 'snapshot' ? [null, null, null] : [10, 20, null])
  expect(told(gone)).toMatchObject([{ kind: 'column_removed', column: 'price', before: 'integer', after: null }])
  expect(told({ ...gone, run })).toMatchObject([{ kind: 'column_returned', column: 'price' }])
  expect(told({ ...gone, run: again })).toEqual([])
  expect((await tableRows(engine, world)).at(-1)).toMatchObject({ id: 4, price: 40 })
})

test.each(modes)(
  'a column that the source renames keeps its rows, and no file is written again: %s',
  async (_, table) => {
    const ran = await drifted(
      engine,
      {},
      {
        first: [id('id', 1, 'long'), id('price', 2)],
        columns: [id('id', 1, 'long'), id('cost', 2)],
        rows: [{ id: 3, cost: 30 }],
      },
      { table },
    )

    expect(ran.columns).toEqual(['id long', 'cost integer'])
    expect(told(ran)).toMatchObject([{ kind: 'column_renamed', column: 'cost', before: 'price', after: 'cost' }])
    if (table.mode !== 'snapshot') {
      expect(ran.rows.map(({ cost }) => cost)).toEqual([10, 20, 30])
      const { metadata } = (await readSnapshot(ran.world.storage, root))!
      expect(metadata.configuration['delta.columnMapping.mode']).toBe('name')
    }
  },
)

test('columns that exchange their names, and one that takes the place of a dropped one, keep their values', async () => {
  const first = [id('id', 1, 'long'), id('price', 2), id('a', 3), id('b', 4)]
  const ran = await drifted(
    engine,
    {},
    { first, columns: [id('id', 1, 'long'), id('b', 3), id('a', 2)], rows: [{ id: 3, a: 1, b: 2 }] },
  )

  expect(ran.columns).toEqual(['id long', 'a integer', 'b integer', 'b__removed integer'])
  expect(ran.rows).toMatchObject([
    { a: 10, b: null },
    { a: 20, b: null },
    { a: 1, b: 2 },
  ])
})

test('backfill copies the table again, so that older rows have the new column', async () => {
  const change = { columns: [...before, column('color', 'string')], rows: [{ id: 3, price: 30, color: 'red' }] }
  const table = { mode: 'cdc', scdType: 'SCD_TYPE_1' } as const

  const ran = await drifted(engine, { backfill: true }, change, { table })

  expect(ran.run.streams).toMatchObject([{ state: 'COMPLETED', mode: 'full', rows: 3 }])
  expect(ran.columns).toEqual(['id long', 'price integer', 'color string'])
})

test('a history keeps its versions through every change of its columns', async () => {
  const table = { mode: 'cdc', scdType: 'SCD_TYPE_2' } as const
  const ran = await drifted(
    engine,
    {},
    {
      columns: [column('id'), column('price', 'long'), column('color', 'string')],
      rows: [{ id: 1, price: 11, color: 'red' }],
    },
    { table },
  )

  expect(ran.run.streams).toMatchObject([{ state: 'COMPLETED' }])
  expect(ran.columns.slice(0, 3)).toEqual(['id long', 'price long', 'color string'])
  expect(ran.rows.map(({ id, price, color, __END_AT }) => [id, price, color, __END_AT === null]).sort()).toEqual([
    [1, 10, null, false],
    [1, 11, 'red', true],
    [2, 20, null, true],
  ])
})

test('what a change does not carry keeps its value in whichever column it is', async () => {
  const world = newWorld()
  const source = world.source.table('orders', { fields: [...before, column('note', 'string')] })
  source.history.push([upsert({ id: 1, price: 10, note: 'a' })])
  const options = { mode: 'cdc', scdType: 'SCD_TYPE_1' } as const
  await runShop(world, [resolved(world.source, 'orders', options)], { engine: async () => engine })
  source.schema = { fields: [column('id'), column('price', 'string'), column('note', 'string')] }
  source.history.push([{ op: 'upsert', row: { id: 1, note: 'b' }, absent: ['price'] }])

  await runShop(world, [resolved(world.source, 'orders', options)], { engine: async () => engine })

  expect(await tableRows(engine, world)).toMatchObject([{ id: 1, price: 10, price__string: null, note: 'b' }])
})

test.each<DriftAction>(['evolve', 'discard_row', 'discard_value'])(
  'a source that stays as it is tells nothing under %s',
  async (action) => {
    const policy = { columns: action, dataType: action }

    const ran = await drifted(engine, policy, { columns: before, rows: [{ id: 3, price: 30 }] })

    expect(told(ran)).toEqual([])
  },
)
