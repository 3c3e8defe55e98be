import { join } from 'node:path'
import { expect, test } from '@jest/globals'
import { query } from '../../../shared/control/query.ts'
import { systemClock } from '../../../shared/core/clock.ts'
import { systemRandom } from '../../../shared/core/random.ts'
import { appendQuarantine } from '../../../shared/load/quarantine.ts'
import { diskStorage } from '../../../shared/storage/disk.ts'
import { temporaryFolder } from '../../support/temporary-folder.ts'

test('rows that do not fit are kept beside their table with the reason', async () => {
  const { folder, remove } = await temporaryFolder()
  const storage = diskStorage(join(folder, 'lake'))
  const ports = { storage, clock: { ...systemClock, now: () => Date.UTC(2026, 0, 31) }, random: systemRandom }
  const table = { catalog: 'main', schema: 'shop', table: 'orders' }
  const place = { loadId: 'l', cursor: '7' }
  const rejection = { record: 0, column: 'total', code: 'out_of_range' as const, got: 'number', wanted: 'decimal(4,2)' }

  await appendQuarantine(
    table,
    [{ rejection, payload: new TextEncoder().encode('1\t99999\n'), form: 'copy', columns: ['id', 'total'] }],
    { runId: 'r1', owner: 'o', place },
    ports,
  )
  await appendQuarantine(
    table,
    [
      { rejection, payload: { id: 2n, total: '1e9' }, form: 'rows' },
      { rejection, form: 'rows' },
    ],
    { runId: 'r2', owner: 'o', place },
    ports,
  )

  const rows = await query(
    { storage, scratch: join(folder, 'scratch') },
    'select * exclude (id) from main.shop.orders__quarantine order by run_id, "row"',
    async ({ batches }) => (await Array.fromAsync(batches)).flat(),
  )
  const why = ['2026-01-31 00:00:00+00', 'total', 'out_of_range', 'number', 'decimal(4,2)']
  expect(rows).toEqual([
    ['r1', ...why, '1\t99999', 'copy', '["id","total"]', 'l'],
    ['r2', ...why, '{"id":"2","total":"1e9"}', 'rows', null, 'l'],
    ['r2', ...why, null, null, null, 'l'],
  ])
  await remove()
})
