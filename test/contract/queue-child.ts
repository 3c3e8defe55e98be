/** A process that sends for ever and prints the number of every record once it is durable: `queue-child.ts <folder>`. */
import { writeSync } from 'node:fs'
import { diskQueue } from '../../shared/queue/disk.ts'

const [folder, first] = process.argv.slice(2) as [string, string]
const queue = await diskQueue(folder, { segmentBytes: 256 * 1024 })
let next = Number(first)

async function sender(): Promise<void> {
  for (;;) {
    const n = next++
    await queue.send([{ group: `g${n % 3}`, header: { n }, body: Buffer.alloc((n * 7919) % 20_000, String(n)) }])
    // Past the promise and into the pipe in one step: what is printed was acknowledged.
    writeSync(1, `${n}\n`)
  }
}

/** Deletes a part, so that segments go and files of deletes are torn too; those are printed with a minus. */
async function receiver(): Promise<void> {
  for (;;) {
    const received = await queue.receive({ maxBytes: 100_000, maxRecords: 20, visibilityMs: 1e9 })
    const done = received.filter(({ header }) => Number(header.n) % 4 !== 0)
    if (done.length > 0) writeSync(1, `${done.map(({ header }) => `-${header.n}\n`).join('')}`)
    await queue.delete(done.map(({ receipt }) => receipt))
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
}

// A full disk ends it: the test reads the code.
await Promise.race([sender(), sender(), sender(), sender(), receiver()]).catch((error) => {
  writeSync(1, `${error.code}\n`)
  process.exit(3)
})
