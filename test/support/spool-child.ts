import { join } from 'node:path'
import { diskSpool } from '../../sdk/spool.ts'

/** Opens one spool after the other at the same moments as its siblings do, and says which of them it got. */
const [folder, rounds] = process.argv.slice(2)
// Whoever started it is gone.
process.on('disconnect', () => process.exit(1))
process.on('message', async (startMs: number) => {
  const got: number[] = []
  for (let round = 0; round < Number(rounds); round++) {
    // Awake at the moment itself: a timer would spread them.
    while (Date.now() < startMs + round * 40);
    await diskSpool(join(folder!, `${round}`))
      .load()
      .then(
        () => got.push(round),
        () => {},
      )
  }
  process.send!(got)
})
process.send!('ready')
