import { statSync } from 'node:fs'
import { contenders } from './contenders.ts'
import { dataSets } from './data.ts'

/**
 * One run in a process of its own: `measure.ts <contender> <data set> <input> <output>` prints its numbers as JSON. The
 * time is the processor's, of all threads: on one core it is what the clock shows, without what other programs take.
 */
const [contender, set, input, output] = process.argv.slice(2) as [string, string, string, string]
const run = await contenders[contender]!()
const before = process.cpuUsage()
await run(dataSets[set]!, input, output)
const { user, system } = process.cpuUsage(before)
const outputBytes = statSync(output, { throwIfNoEntry: false })?.size ?? 0
const peakRssMb = process.resourceUsage().maxRSS / 1024
console.log(JSON.stringify({ seconds: (user + system) / 1e6, outputBytes, peakRssMb }))
