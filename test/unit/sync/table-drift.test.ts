import { expect, test } from '@jest/globals'
import type { SourceTable } from '../../../shared/connector/connector.ts'
import { PipelineSpec } from '../../../shared/pipeline/spec.ts'
import type { DriftAction } from '../../../shared/schema/schema-change.ts'
import { planTables } from '../../../shared/sync/table-drift.ts'
import { column } from '../../support/delta.ts'

const source = (name: string, schema = 'src'): SourceTable => ({
  schema,
  name,
  columns: { fields: [column('id')] },
  key: ['id'],
  cursorCandidates: [],
  modes: ['snapshot'],
})

const whole = { schema: { source_schema: 'src' } }
const named = (source_table: string, more: object = {}) => ({ table: { source_schema: 'src', source_table, ...more } })
const spec = (objects: object[], tables?: DriftAction) =>
  PipelineSpec.parse({
    ingestion_definition: {
      connection_name: 'c',
      objects,
      ...(tables && { table_configuration: { schema_drift: { tables } } }),
    },
  })

/** Two runs: the first one finds `before`, the second one `after`. */
function twice(pipeline: PipelineSpec, before: SourceTable[], after: SourceTable[], later = pipeline) {
  const { known } = planTables(pipeline, before, undefined, 1)
  return planTables(later, after, known, 2)
}
const read = ({ tables }: ReturnType<typeof twice>) =>
  tables.map(({ destination, refused }) => (refused ? `${destination.table} refused` : destination.table))
const told = ({ changes }: ReturnType<typeof twice>) =>
  changes.map(({ stream, change }) => `${change.kind} ${stream}, ${change.outcome}`)

const [a, b] = [source('a'), source('b')]

test.each<[DriftAction, string[], string[]]>([
  ['evolve', ['a', 'b'], ['table_added main.src.b, is copied']],
  ['freeze', ['a', 'b refused'], ['table_added main.src.b, is not copied and is an error']],
  ['discard_row', ['a'], ['table_added main.src.b, is not copied']],
  ['discard_value', ['a'], ['table_added main.src.b, is not copied']],
])('a new table of a chosen schema under %s', (action, tables, changes) => {
  const plan = twice(spec([whole], action), [a], [a, b])
  const again = planTables(spec([whole], action), [a, b], plan.known, 3)

  expect(read(plan)).toEqual(tables)
  expect(told(plan)).toEqual(changes)
  expect(told(again)).toEqual(action === 'evolve' ? [] : changes)
})

test.each<[DriftAction, string[]]>([
  ['evolve', ['b']],
  ['freeze', ['b', 'a refused']],
  ['discard_row', ['b']],
  ['discard_value', ['b']],
])('a table that is gone is kept and does not stop the others under %s', (action, tables) => {
  for (const objects of [[whole], [named('a'), named('b')]]) {
    const plan = twice(spec(objects, action), [a, b], [b])
    const back = planTables(spec(objects, action), [a, b], plan.known, 3)

    expect(read(plan)).toEqual(tables)
    expect(told(plan)[0]).toMatch(/^table_removed main.src.a, stays as it is/)
    expect(plan.known.tables['main.src.a']).toEqual({ schema: 'src', name: 'a', goneSinceMs: 2 })
    expect(told(back)).toEqual(['table_returned main.src.a, is read again'])
    expect(read(back)).toEqual(['a', 'b'])
  }
})

test('of a schema that is empty now nothing is read, and its tables are kept', () => {
  const plan = twice(
    spec([whole, named('x', { source_schema: 'other' })]),
    [a, source('x', 'other')],
    [source('x', 'other')],
  )

  expect(read(plan)).toEqual(['x'])
  expect(told(plan)).toEqual(['table_removed main.src.a, stays as it is'])
})

test('what the user adds, names or takes out is no drift', () => {
  const x = source('x', 'other')

  const added = twice(
    spec([whole], 'freeze'),
    [a],
    [a, x],
    spec([whole, { schema: { source_schema: 'other' } }], 'freeze'),
  )
  const chosen = twice(spec([whole], 'freeze'), [a], [a, b], spec([whole, named('b')], 'freeze'))
  const left = twice(spec([named('a'), named('b')]), [a, b], [a, b], spec([named('b')]))

  expect([read(added), told(added)]).toEqual([['a', 'x'], []])
  expect([read(chosen).sort(), told(chosen)]).toEqual([['a', 'b'], []])
  expect([read(left), told(left), Object.keys(left.known.tables)]).toEqual([['b'], [], ['main.src.b']])
})

test('a table that its configuration does not fit any more is an error of its own', () => {
  const pipeline = spec([{ schema: { source_schema: 'src', table_configuration: { sequence_by: ['id'] } } }])
  const without = { ...a, columns: { fields: [column('other')] }, key: [] }

  const plan = twice(pipeline, [a, b], [without, b])
  const back = planTables(pipeline, [a, b], plan.known, 3)

  expect(read(plan)).toEqual(['a refused', 'b'])
  expect(plan.tables[0]!.refused).toEqual({
    code: 'source.object_missing',
    message: expect.stringMatching(/^column id of src.a, named in sequence_by, is not there/),
  })
  expect([read(back), told(back)]).toEqual([['a', 'b'], []])
  expect(() => planTables(pipeline, [without, b], undefined, 1)).toThrow(/column id of src.a/)
})

test('a new table that would go where another goes is not copied, and does not stop the others', () => {
  const capital = source('A')
  const both = spec([whole, { schema: { source_schema: 'other', destination_schema: 'src' } }])

  const byCase = twice(spec([whole]), [a, b], [capital, a, b])
  const bySchema = twice(both, [a, source('x', 'other')], [a, source('a', 'other'), source('x', 'other')])
  const neither = twice(both, [b, source('x', 'other')], [b, a, source('a', 'other'), source('x', 'other')])

  expect(read(byCase)).toEqual(['A refused', 'a', 'b'])
  expect(told(byCase)).toEqual(['table_added main.src.A, is an error'])
  expect(read(bySchema)).toEqual(['a', 'x'])
  expect(bySchema.tables[0]!.source.schema).toBe('src')
  expect(told(bySchema)).toEqual([
    'table_added main.src.a, is not copied: src.a and other.a would both go to main.src.a; give one a destination_table',
  ])
  expect(read(neither).sort()).toEqual(['a refused', 'b', 'x'])
  expect(Object.keys(neither.known.tables).sort()).toEqual(['main.src.b', 'main.src.x'])
})

test('a captured table stays captured while its configuration does not fit it', () => {
  const pipeline = spec([{ schema: { source_schema: 'src', table_configuration: { sequence_by: ['id'] } } }])
  const captured: SourceTable = { ...a, modes: ['cdc', 'snapshot'] }
  const without = { ...captured, columns: { fields: [column('other')] } }

  expect(twice(pipeline, [captured], [without]).tables).toMatchObject([{ mode: 'cdc', refused: {} }])
  expect(twice(pipeline, [b], [b, without]).tables).toMatchObject([{}, { mode: 'snapshot', refused: {} }])
})

test('a table that never was there is an error with the nearest name, as before', () => {
  expect(() => twice(spec([named('a')]), [a], [a], spec([named('a'), named('aa')]))).toThrow(
    /no table src.aa.*did you mean a\?/,
  )
})
