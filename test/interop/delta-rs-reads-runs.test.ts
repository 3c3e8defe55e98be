import { join } from 'node:path'
import { afterAll, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { readSnapshot } from '../../shared/delta/snapshot.ts'
import { openEngine } from '../../shared/load/engine.ts'
import { readTableSql } from '../../shared/load/read-table.ts'
import { diskStorage } from '../../shared/storage/disk.ts'
import { steps, tell } from '../support/late-events.ts'
import { play } from '../support/sync-model.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { deltaRsRead, difference } from './delta-rs.ts'

const { folder, remove } = await temporaryFolder()
const engine = await openEngine({ scratch: join(folder, 'scratch'), threads: 1 })
let lakes = 0
afterAll(async () => {
  engine.close()
  await remove()
})

test.each(['SCD_TYPE_1', 'SCD_TYPE_2'] as const)(
  'what runs that die leave of a random history as %s, delta-rs reads as we do',
  async (scdType) => {
    await fc.assert(
      fc.asyncProperty(steps, async (played) => {
        const { world } = await play(played, { scdType, mode: 'cdc', sequenceBy: ['seq'] }, engine, tell, 'seq')

        const lake = join(folder, `lake${++lakes}`)
        const storage = diskStorage(lake)
        for await (const { path } of world.storage.list('')) await storage.put(path, (await world.storage.get(path))!)
        const out = join(lake, 'theirs.parquet')
        const theirs = deltaRsRead(join(lake, 'main/shop/orders'), out)
        const ours = (await readSnapshot(storage, 'main/shop/orders'))!
        expect(theirs.version).toBe(ours.version)
        await engine.session(async (session) => {
          expect(await difference(session, await readTableSql(session, storage, ours), out)).toEqual([0, 0])
        })
      }),
      { numRuns: Number(process.env.SOAK ?? 4), endOnFailure: true },
    )
  },
)
