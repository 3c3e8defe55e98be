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

test('a table that never was there is an error with the nearest name, as before', () => {
  expect(() => twice(spec([named('a')]), [a], [a], spec([named('a'), named('aa')]))).toThrow(
    /no table src.aa.*did you mean a\?/,
  )
})
