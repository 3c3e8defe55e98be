import { afterAll, expect, test } from '@jest/globals'
import { complement } from '../../../shared/connector/complement.ts'
import { remove, upsert } from '../../../shared/core/change.ts'
import { systemRandom } from '../../../shared/core/random.ts'
import { readSnapshot } from '../../../shared/delta/snapshot.ts'
import { openEngine } from '../../../shared/load/engine.ts'
import { appendQuarantine } from '../../../shared/load/quarantine.ts'
import type { RejectedRow } from '../../../shared/load/stage.ts'
import { parseRowFilter } from '../../../shared/pipeline/row-filter.ts'
import { compareTable, differentKeys } from '../../../shared/sync/compare.ts'
import { selectionOf } from '../../../shared/sync/plan.ts'
import { keysSetAside } from '../../../shared/sync/set-aside.ts'
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
    async find(compared: Awaited<ReturnType<typeof compareTable>>) {
      const stream = await open()
      const quarantine = { ...world, random: systemRandom, engine: async () => engine }
      const setAside = await keysSetAside(orders.destination, stream.schema.fields, ['id'], quarantine)
      return differentKeys(stream, await read(), ports, compared, { ...options, setAside })
    },
    async setAside(payload: RejectedRow['payload'], form: RejectedRow['form'], columns?: string[]) {
      const rejection = { record: 0, column: 'name', code: 'wrong_type', got: 'string', wanted: 'long' } as const
      const row = { rejection, payload, form, ...(columns && { columns }) } as RejectedRow
      const place = { loadId: 'l', cursor: 'c' }
      await appendQuarantine(
        orders.destination,
        [row],
        { runId: 'r', owner: 'o', place },
        { ...world, random: systemRandom },
      )
    },
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
  expect(compared.differences).toEqual(['src.orders: 201 rows in the source, 200 in the table'])
  expect(keys).toMatchObject({ onlyInSource: 2, onlyInTable: 1, otherValues: 1 })
  expect([...keys.examples].sort()).toEqual(['id = 3', 'id = 4', 'id = 500', 'id = 501'])
})

test('rows in the quarantine are counted apart, whatever form they were kept in', async () => {
  const { table, compare, find, setAside } = await copied('SCD_TYPE_1')
  table.history.push([3, 500, 501, 502].map((id) => upsert({ id, name: null })))
  await setAside({ id: 3, name: '?' }, 'rows')
  await setAside(Buffer.from('500\t?'), 'copy', ['id', 'name'])
  await setAside(Buffer.from('{"id":501,"name":"?"}'), 'ndjson')

  const keys = await find(await compare())

  expect(keys).toMatchObject({ onlyInSource: 1, onlyInTable: 0, otherValues: 0, setAside: 3 })
})

test('columns that differ in as many rows are named in one line', async () => {
  const { table, compare } = await copied('SCD_TYPE_1')
  table.history.push([remove({ id: 3 }), upsert({ id: 300, name: 'other' })])

  expect((await compare()).differences).toEqual(['id, name: values differ'])
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
