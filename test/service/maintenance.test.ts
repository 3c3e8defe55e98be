import { afterAll, expect, test } from '@jest/globals'
import { upsert } from '../../shared/core/change.ts'
import { systemClock } from '../../shared/core/clock.ts'
import { systemRandom } from '../../shared/core/random.ts'
import { commit } from '../../shared/delta/commit.ts'
import { fileMayContain } from '../../shared/delta/skipping.ts'
import { readSnapshot } from '../../shared/delta/snapshot.ts'
import { openEngine } from '../../shared/load/engine.ts'
import { optimizeTable } from '../../shared/load/optimize.ts'
import { openWorkspace } from '../../shared/load/workspace.ts'
import { addFiles, writeFiles } from '../../shared/load/write-files.ts'
import { diskStorage } from '../../shared/storage/disk.ts'
import { column, committed, emptyTable } from '../support/delta.ts'
import { schemaOf } from '../support/merge-table.ts'
import { destinationRows, newWorld, resolved, runShop } from '../support/sync-world.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const { folder, remove } = await temporaryFolder()
// One thread closes files at the same rows each time.
const engine = await openEngine({ scratch: `${folder}/scratch`, threads: 1 })
afterAll(async () => {
  engine.close()
  await remove()
})

/** Each of them in a file of its own is too many. */
const ROWS = 60

test('after a Z-order by two columns, a filter on either of them skips most files', async () => {
  const ports = { storage: diskStorage(`${folder}/lakehouse`), clock: systemClock, random: systemRandom }
  const empty = await emptyTable(ports, { schema: schemaOf({ x: 'long', y: 'long' }) })
  await engine.session(async (session) => {
    const work = await openWorkspace(session, empty, ports)
    const rows = 'select (hash(i) % 100000)::bigint x, (hash(i, 1) % 100000)::bigint y from range(1966080) r(i)'
    const add = addFiles(work, await writeFiles(work, rows, ports), ports)
    committed(await commit(empty, { operation: 'WRITE', add, reads: 'nothing' }, ports))
  })

  // The engine closes a file at the end of a row group.
  await optimizeTable('shop', { ...ports, engine }, { clusteringColumns: ['x', 'y'], targetBytes: 1 << 20 })

  const table = (await readSnapshot(ports.storage, 'shop'))!
  const files = [...table.files.values()]
  const read = (name: string) =>
    files.filter((file) => fileMayContain(file, table, [{ column: [name], min: 500n, max: 510n }]))
  expect(files.length).toBeGreaterThanOrEqual(6)
  expect(read('x').length).toBeLessThanOrEqual(files.length / 2)
  expect(read('y').length).toBeLessThanOrEqual(files.length / 2)
})

test.each([
  ['APPEND_ONLY', 'query'],
  ['SCD_TYPE_1', 'cdc'],
  ['SCD_TYPE_1', 'snapshot'],
] as const)('a run of %s by %s joins its small files when there are many, and the rows stay', async (scdType, mode) => {
  const world = newWorld()
  const table = world.source.table('orders', { fields: [column('id'), column('name', 'string')] })
  const orders = resolved(world.source, 'orders', { scdType, mode })
  const options = { engine: async () => engine, settings: { commitIntervalMs: 0 } }
  table.history.push([upsert({ id: 0, name: 'first' })])
  await runShop(world, [orders], options)
  for (let id = 1; id <= ROWS; id++) table.history.push([upsert({ id, name: `n${id}` })])
  world.source.pieces = 100

  const run = await runShop(world, [orders], options)

  const after = (await readSnapshot(world.storage, 'main/shop/orders'))!
  expect(run.streams).toMatchObject([{ state: 'COMPLETED' }])
  expect(after.version).toBeGreaterThan(run.streams[0]!.version!)
  expect(after.files.size).toBe(1)
  expect((await destinationRows(world, orders)).map(({ id }) => Number(id))).toEqual(
    Array.from({ length: ROWS + 1 }, (_, id) => id),
  )
})
