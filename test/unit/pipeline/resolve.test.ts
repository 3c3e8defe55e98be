import { expect, test } from '@jest/globals'
import type { SourceTable } from '../../../shared/connector/connector.ts'
import { resolvePipeline } from '../../../shared/pipeline/resolve.ts'
import { PipelineSpec } from '../../../shared/pipeline/spec.ts'

const sourceTable = (name: string, more: Partial<SourceTable> = {}): SourceTable => ({
  schema: 'public',
  name,
  columns: {
    fields: ['id', 'total', 'state', 'updated_at'].map((column) => ({
      name: column,
      type: { kind: column === 'updated_at' ? 'timestamp' : 'string' },
      nullable: column !== 'updated_at',
    })),
  },
  key: ['id'],
  cursorCandidates: ['updated_at'],
  modes: ['query', 'snapshot'],
  ...more,
})

const pipeline = (objects: unknown[], more: object = {}, definition: object = {}) =>
  PipelineSpec.parse({ ingestion_definition: { connection_name: 'c', objects, ...definition }, ...more })

const table = (more: object = {}) => ({ table: { source_schema: 'public', source_table: 'orders', ...more } })
const configured = (table_configuration: object) => table({ table_configuration })
const one = (spec: PipelineSpec, source = sourceTable('orders')) => resolvePipeline(spec, [source]).tables[0]!

test('a table without any wish goes to the default place with its own key and cursor', () => {
  const resolved = one(pipeline([table()]))

  expect(resolved).toMatchObject({
    destination: { catalog: 'main', schema: 'public', table: 'orders' },
    columns: ['id', 'total', 'state', 'updated_at'],
    key: ['id'],
    mode: 'query',
    cursorColumns: ['updated_at'],
    scdType: 'SCD_TYPE_1',
    followsNewColumns: true,
  })
})

test('a drift policy of a table replaces the one of the pipeline key by key', () => {
  const wide = { table_configuration: { schema_drift: { columns: 'freeze', data_type: 'discard_row' } } }
  const resolved = one(pipeline([configured({ schema_drift: { columns: 'discard_value' } })], {}, wide))

  expect(resolved.schemaDrift).toEqual({
    tables: 'evolve',
    columns: 'discard_value',
    dataType: 'discard_row',
    backfill: false,
  })
})

test('the narrowest level of configuration wins', () => {
  const spec = pipeline(
    [
      { schema: { source_schema: 'public', table_configuration: { scd_type: 'SCD_TYPE_2', row_filter: 'id = 2' } } },
      configured({ row_filter: 'id = 3' }),
    ],
    {},
    { table_configuration: { scd_type: 'APPEND_ONLY', row_filter: 'id = 1', exclude_columns: ['state'] } },
  )

  const { tables } = resolvePipeline(spec, [sourceTable('orders'), sourceTable('items')])

  expect(tables.map(({ source, scdType, filter }) => [source.name, scdType, filter])).toEqual([
    ['items', 'SCD_TYPE_2', { op: '=', column: 'id', value: { text: '2', kind: 'number' } }],
    ['orders', 'APPEND_ONLY', { op: '=', column: 'id', value: { text: '3', kind: 'number' } }],
  ])
  expect(tables[0]!.columns).not.toContain('state')
})

test('choosing columns one way drops the wider choice the other way', () => {
  const spec = pipeline(
    [configured({ include_columns: ['id', 'state'] })],
    {},
    {
      table_configuration: { exclude_columns: ['id'] },
    },
  )

  expect(one(spec, sourceTable('orders', { modes: ['snapshot'] })).columns).toEqual(['id', 'state'])
})

test('the key and the cursor are read even when they are not included', () => {
  const spec = pipeline([configured({ include_columns: ['total'] })])

  const { tables, notes } = resolvePipeline(spec, [sourceTable('orders')])

  expect(tables[0]!.columns).toEqual(['id', 'total', 'updated_at'])
  expect(notes).toEqual(['public.orders: also reads id, updated_at, which key, cursor and order need'])
})

test('an unreadable column is left out with the reason, and cannot be asked for', () => {
  const source = sourceTable('orders', { unreadable: [{ column: 'state', reason: 'its type is box' }] })

  const { notes } = resolvePipeline(pipeline([table()]), [source])

  expect(notes).toEqual(['public.orders: column state is left out: its type is box'])
  expect(() => one(pipeline([configured({ include_columns: ['state'] })]), source)).toThrow(
    /cannot be read: its type is box/,
  )
})

test('names are found ignoring case when that is not ambiguous', () => {
  const spec = pipeline([table({ source_table: 'ORDERS', table_configuration: { row_filter: 'TOTAL > 1' } })])

  expect(one(spec).filter).toMatchObject({ column: 'total' })
})

test.each([
  [[table({ source_table: 'order' })], 'source.object_missing', /no table public\.order .*did you mean orders\?/],
  [[{ schema: { source_schema: 'pubic' } }], 'source.object_missing', /schema pubic .*did you mean public\?/],
  [
    [configured({ row_filter: 'totl = 1' })],
    'source.object_missing',
    /column totl of public\.orders, named in row_filter, is not there; did you mean total\?/,
  ],
  [[configured({ primary_keys: ['nope'] })], 'source.object_missing', /named in primary_keys/],
  [[configured({ exclude_columns: ['id'] })], 'config.invalid', /cannot be excluded/],
  [[table(), table()], 'config.invalid', /would both go to main\.public\.orders/],
])('%j is refused as %s', (objects, code, message) => {
  expect(() => one(pipeline(objects as unknown[]))).toThrow(
    expect.objectContaining({ code, message: expect.stringMatching(message) }),
  )
})

test('one source table may go to two destinations', () => {
  const spec = pipeline([table(), table({ destination_table: 'orders_2' })])

  const { tables } = resolvePipeline(spec, [sourceTable('orders')])

  expect(tables.map((resolved) => resolved.destination.table)).toEqual(['orders', 'orders_2'])
})

test.each([
  ['CDC', ['cdc', 'query', 'snapshot'], ['updated_at'], 'cdc'],
  [undefined, ['cdc', 'query', 'snapshot'], ['updated_at'], 'cdc'],
  ['QUERY_BASED', ['cdc', 'query', 'snapshot'], ['updated_at'], 'query'],
  ['QUERY_BASED', ['cdc', 'query', 'snapshot'], [], 'snapshot'],
  [undefined, ['query', 'snapshot'], [], 'snapshot'],
] as const)(
  'connector type %s of a source offering %j with cursors %j reads by %s',
  (type, modes, cursorCandidates, mode) => {
    const spec = pipeline([table()], {}, type ? { connector_type: type } : {})

    expect(one(spec, sourceTable('orders', { modes, cursorCandidates })).mode).toBe(mode)
  },
)

test('of a schema whose changes are captured, tables that have none are left out with a note', () => {
  const spec = pipeline([{ schema: { source_schema: 'public' } }], {}, { connector_type: 'CDC' })
  const orders = sourceTable('orders', { modes: ['cdc', 'snapshot'] })
  const view = sourceTable('paid', { key: [] })

  const { tables, notes } = resolvePipeline(spec, [orders, view])

  expect(tables.map(({ source }) => source.name)).toEqual(['orders'])
  expect(notes).toEqual(['public.paid: is left out: connector_type is CDC, and its changes cannot be captured'])
  expect(() => resolvePipeline(spec, [view])).toThrow(/public.paid can only be read as query or snapshot/)
  // Once its changes were captured, it is an error that they no longer are.
  expect(resolvePipeline(spec, [orders, view], () => true).tables).toMatchObject([
    { mode: 'cdc' },
    { refused: { code: 'config.invalid' } },
  ])
})

test('a table without key cannot be updated by a query', () => {
  expect(() => one(pipeline([table()]), sourceTable('orders', { key: [] }))).toThrow(
    /set primary_keys, or scd_type: APPEND_ONLY/,
  )
})

test.each([
  ['a cursor that may be NULL', { kind: 'timestamp', nullable: true }, 'SCD_TYPE_1', 'snapshot'],
  ['a key that counts up, where rows are updated', { kind: 'long', nullable: false }, 'SCD_TYPE_1', 'snapshot'],
  ['a key that counts up, where rows are only added', { kind: 'long', nullable: false }, 'APPEND_ONLY', 'query'],
] as const)('%s is chosen only where it misses nothing', (_what, { kind, nullable }, scd_type, mode) => {
  const fields = [{ name: 'id', type: { kind }, nullable }]
  const source = sourceTable('orders', { columns: { fields }, cursorCandidates: ['id'] })

  const resolved = one(pipeline([configured({ scd_type })]), source)

  expect(resolved.mode).toBe(mode)
})
