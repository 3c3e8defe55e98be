import { expect, test } from '@jest/globals'
import { commit } from '../../../shared/delta/commit.ts'
import { EPOCH, sidecarRoot } from '../../../shared/load/sidecar.ts'
import { vacuumHidden } from '../../../shared/load/vacuum-hidden.ts'
import { memoryStorage } from '../../../shared/storage/memory.ts'
import { bytes, committed, dataFile, emptyTable, testPorts } from '../../support/delta.ts'

const DAY_MS = 86_400_000

test('what no merge can still need goes: old staged changes, sidecars of before, and files the present one replaced', async () => {
  let now = Date.UTC(2026, 0, 1)
  const clock = { now: () => now, sleep: async () => {} }
  const storage = memoryStorage({ clock })
  const ports = { ...testPorts(storage), clock }
  const table = await emptyTable(ports, { properties: { [EPOCH]: 'new' } })
  const sidecar = await emptyTable(ports, { root: sidecarRoot(table) })
  const replaced = await dataFile(sidecar, [{ id: 1 }], ports)
  const present = await dataFile(sidecar, [{ id: 2 }], ports)
  const added = committed(await commit(sidecar, { operation: 'WRITE', add: [replaced], reads: 'nothing' }, ports))
  await commit(added, { operation: 'WRITE', add: [present], remove: [replaced], reads: 'files' }, ports)
  await storage.put('shop/_lakeflow/changes-0/part-1.parquet', bytes('of before a full refresh'))
  await storage.put('shop/_lakeflow/staged/part-2.parquet', bytes('of a process that died'))
  now += 8 * DAY_MS
  await storage.put('shop/_lakeflow/staged/part-3.parquet', bytes('of a process at work'))

  const told = await vacuumHidden(storage, table, ports, { retentionMs: 7 * DAY_MS, dryRun: true })
  const deleted = await vacuumHidden(storage, table, ports, { retentionMs: 7 * DAY_MS })

  const left: string[] = []
  for await (const { path } of storage.list('shop/_lakeflow/')) if (!path.includes('_delta_log')) left.push(path)
  expect(deleted).toEqual(told)
  expect([...deleted].sort()).toEqual(
    [
      'shop/_lakeflow/changes-0/part-1.parquet',
      `${sidecarRoot(table)}/${replaced.path}`,
      'shop/_lakeflow/staged/part-2.parquet',
    ].sort(),
  )
  expect(left.sort()).toEqual([`${sidecarRoot(table)}/${present.path}`, 'shop/_lakeflow/staged/part-3.parquet'].sort())
})
