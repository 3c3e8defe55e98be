import { ZerobusSdk } from '../../sdk/index.ts'
import { diskSpool } from '../../sdk/spool.ts'

/** A producer with a spool, to be killed: numbers its records on from what is in the spool or was acknowledged. */
const [url, folder, name, recordsPerSecond] = process.argv.slice(2)
const sdk = new ZerobusSdk(url!, { token: 'secret' })
const stream = await sdk.createStream(
  { tableName: 'main.events.clicks' },
  { spool: diskSpool(folder!), recoveryTimeoutMs: 600_000, recoveryBackoffMs: 50 },
)
let stopping = false
// Whoever started it is gone.
process.on('disconnect', () => process.exit(1))
process.on('message', () => {
  stopping = true
})
let next = stream.remains().offset
const pauseMs = (20 / Number(recordsPerSecond)) * 1000
while (!stopping) {
  const lines = Array.from({ length: 20 }, (_, i) => `{"id":"${name}:${next + i}","n":${next + i}}`)
  await stream.ingestRecordsOffset(lines)
  next += lines.length
  process.send!({ spooled: next })
  await new Promise((resolve) => setTimeout(resolve, pauseMs))
}
await stream.close()
process.exit(0)
