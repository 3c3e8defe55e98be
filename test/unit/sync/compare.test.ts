import { afterAll, expect, test } from '@jest/globals'
import { complement } from '../../../shared/connector/complement.ts'
import { remove, upsert } from '../../../shared/core/change.ts'
import { readSnapshot } from '../../../shared/delta/snapshot.ts'
import { openEngine } from '../../../shared/load/engine.ts'
import { parseRowFilter } from '../../../shared/pipeline/row-filter.ts'
import { compareTable, differentKeys } from '../../../shared/sync/compare.ts'
import { selectionOf } from '../../../shared/sync/plan.ts'
import { column } from '../../support/delta.ts'
import { scripted } from '../../support/scripted-source.ts'
import { newWorld, resolved, runShop } from '../../support/sync-world.ts'
import { temporaryFolder } from '../../support/temporary-folder.ts'

const temporary = await temporaryFolder()
const engine = await openEngine({ scratch: temporary.folder, threads: 1 })
afterAll(async () => {
  engine.close()
  await temporary.remove()
})

/** A table of 200 rows that was copied, and ways to compare it with what the source holds by then. */
async function copied(scdType: 'SCD_TYPE_1' | 'SCD_TYPE_2') {
  const world = newWorld()
  const table = world.source.table('orders', { fields: [column('id'), column('name', 'string')] })
  table.history.push(Array.from({ length: 200 }, (_, id) => upsert({ id, name: id % 7 ? `n${id}` : null })))
  const orders = resolved(world.source, 'orders', { mode: 'cdc', scdType })
  await runShop(world, [orders], { engine: async () => engine })
  const ctx = await scripted.connect(world.source, { clock: world.clock, signal: new AbortController().signal })
  const open = () =>
    scripted.open(ctx, orders.source, selectionOf({ ...orders, mode: 'snapshot' }, { owner: 'test', parallelism: 1 }))
  const options = { key: ['id'], ...(scdType === 'SCD_TYPE_2' && { where: '"__END_AT" is null' }) }
  const ports = { storage: world.storage, engine }
  const read = async () => (await readSnapshot(world.storage, 'main/shop/orders'))!
  return {
    table,
    follow: () => runShop(world, [orders], { engine: async () => engine }),
    compare: async () => compareTable(await open(), await read(), ports, options),
    find: async (compared: Awaited<ReturnType<typeof compareTable>>) =>
      differentKeys(await open(), await read(), ports, compared, options),
  }
}

test.each(['SCD_TYPE_1', 'SCD_TYPE_2'] as const)(
  'a table of %s that follows its source is equal to it',
  async (scdType) => {
    const { table, follow, compare } = await copied(scdType)
    table.history.push([upsert({ id: 3, name: 'other' }), remove({ id: 4 }), upsert({ id: 500, name: 'new' })])
    await follow()

    const compared = await compare()

    expect(compared).toMatchObject({ equal: true, differences: [], source: { rows: 200 }, table: { rows: 200 } })
  },
)

test('rows that are missing, too many or of other values are counted, and some are named by their keys', async () => {
  const { table, compare, find } = await copied('SCD_TYPE_1')
  table.history.push([upsert({ id: 3, name: 'other' }), remove({ id: 4 }), upsert({ id: 500, name: 'new' })])
  table.history.push([upsert({ id: 501, name: null })])

  const compared = await compare()
  const keys = await find(compared)

  expect(compared.equal).toBe(false)
  expect(compared.differences).toEqual([
    'src.orders: 201 rows in the source, 200 in the table',
    'id: values differ',
    'name: 30 nulls in the source, 29 in the table',
    'name: values differ',
  ])
  expect(keys).toMatchObject({ onlyInSource: 2, onlyInTable: 1, otherValues: 1 })
  expect([...keys.examples].sort()).toEqual(['id = 3', 'id = 4', 'id = 500', 'id = 501'])
})

test('values that were exchanged between two rows are found, though each column holds the same', async () => {
  const { table, compare, find } = await copied('SCD_TYPE_1')
  table.history.push([upsert({ id: 1, name: 'n2' }), upsert({ id: 2, name: 'n1' })])

  const compared = await compare()

  expect(compared.differences).toEqual(['src.orders: the columns hold the same values, but not in the same rows'])
  expect(await find(compared)).toMatchObject({ onlyInSource: 0, onlyInTable: 0, otherValues: 2 })
})

test.each([
  ["status = 'gone' AND total > 5", { op: 'or', terms: [{ op: 'or' }, { op: 'or' }] }],
  ['deleted_at IS NOT NULL', { op: 'is null', column: 'deleted_at', negated: false }],
  [
    'total < 5',
    {
      op: 'or',
      terms: [
        { op: '>=', column: 'total' },
        { op: 'is null', column: 'total', negated: false },
      ],
    },
  ],
])('the rows that %s does not take', (text, wanted) => {
  expect(complement(parseRowFilter(text))).toMatchObject(wanted)
})
