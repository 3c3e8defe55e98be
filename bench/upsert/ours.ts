/** `node ours.ts <lakehouse> <table> <changes, in the lakehouse> <rows> <scratch> <memory MB>` merges and prints its cost. */
import { cpuUsage, resourceUsage } from 'node:process'
import { systemClock } from '../../shared/core/clock.ts'
import { systemRandom } from '../../shared/core/random.ts'
import { commit } from '../../shared/delta/commit.ts'
import { readSnapshot } from '../../shared/delta/snapshot.ts'
import { openEngine } from '../../shared/load/engine.ts'
import { merge } from '../../shared/load/merge.ts'
import { diskStorage } from '../../shared/storage/disk.ts'

const [folder, root, path, rows, scratch, memoryMb] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
  string,
  string,
]
const storage = diskStorage(folder)
const ports = { storage, clock: systemClock, random: systemRandom }
const engine = await openEngine({ scratch, memoryMb: Number(memoryMb) })
const started = performance.now()

const snapshot = await readSnapshot(storage, root)
const spec = { mode: 'SCD_TYPE_1' as const, keys: ['id'], sequenceBy: [] }
const result = await merge(snapshot!, [{ path, rows: Number(rows), sizeBytes: 0 }], spec, { ...ports, engine })
const done = await commit(snapshot!, result.change, ports)

const wallMs = performance.now() - started
engine.close()
if (done.kind !== 'committed') throw new Error(`not committed: ${done.kind}`)
const cpuMs = (cpuUsage().user + cpuUsage().system) / 1000
console.log(JSON.stringify({ wallMs, cpuMs, rssMb: resourceUsage().maxRSS / 1024, bytes: result.counts.bytesWritten }))
