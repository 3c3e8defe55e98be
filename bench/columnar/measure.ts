import { existsSync, readFileSync, statSync } from 'node:fs'
import { contenders } from './contenders.ts'
import { dataSets } from './data.ts'

/**
 * One run in a process of its own: `measure.ts <contender> <data set> <input> <output>` prints its numbers as JSON. The
 * time is the processor's, of all threads: on one core it is what the clock shows, without what other programs take.
 */
const [contender, set, input, output] = process.argv.slice(2) as [string, string, string, string]
const run = await contenders[contender]!(input)
const before = process.cpuUsage()
await run(dataSets[set]!, input, output)
const { user, system } = process.cpuUsage(before)
const outputBytes = statSync(output, { throwIfNoEntry: false })?.size ?? 0
// Linux hands the parent's peak down in resourceUsage; the high-water mark of the memory itself is this process's own.
const status = '/proc/self/status'
const peakKb = existsSync(status) && /VmHWM:\s+(\d+)/.exec(readFileSync(status, 'utf8'))?.[1]
const peakRssMb = Number(peakKb || process.resourceUsage().maxRSS) / 1024
console.log(JSON.stringify({ seconds: (user + system) / 1e6, outputBytes, peakRssMb }))
