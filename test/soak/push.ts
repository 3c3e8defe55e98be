import { temporaryFolder } from '../support/temporary-folder.ts'
import { underFire } from '../support/under-fire.ts'

/**
 * Push under fire for a while: `npm run soak:push -- [seconds] [producers] [records a second of each]`. Prints how it goes, always ends
 * with counts as JSON, and with 1 when the table does not hold exactly what was acknowledged.
 */
const [seconds = 600, producers = 20, recordsPerSecond = 500] = process.argv.slice(2).map(Number)
const { folder, remove } = await temporaryFolder()
const after = await underFire({ folder, seconds, producers, recordsPerSecond, say: console.log })
console.log(JSON.stringify(after))
const { lost, duplicated, unknown, untold, outOfOrder, stuck } = after
if (lost + duplicated + unknown + untold + outOfOrder + stuck.length !== 0) {
  console.log(`what was left is in ${folder}`)
  process.exit(1)
}
await remove()
