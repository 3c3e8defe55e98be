import { expect, test } from '@jest/globals'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { underFire } from '../support/under-fire.ts'

// For longer, with more of everything: npm run soak:push.
test('the table holds exactly what was acknowledged, under kills of server and producers, cuts and duplicates', async () => {
  const { folder, remove } = await temporaryFolder()

  const after = await underFire({ folder, seconds: 8, producers: 4, recordsPerSecond: 2500 })

  expect(after).toMatchObject({ lost: 0, duplicated: 0, unknown: 0, untold: 0, outOfOrder: 0, inDoubt: 0, stuck: [] })
  expect(after.rows).toBe(after.acknowledged)
  expect(after.serverKills).toBeGreaterThan(0)
  await remove()
}, 300_000)
