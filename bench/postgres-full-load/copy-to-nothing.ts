import pg from 'pg'
import { CopyOut } from '../../shared/connectors/postgres/copy-out.ts'

// The limit: the same rows over the same protocol, thrown away.
const client = new pg.Client({ connectionString: process.argv[2]! })
await client.connect()
const startedAt = performance.now()
const copy = new CopyOut('copy (select * from lineitem) to stdout')
client.query(copy)
let bytes = 0
for await (const chunk of copy) bytes += chunk.length
const wallSeconds = (performance.now() - startedAt) / 1000
await client.end()
const { user, system } = process.cpuUsage()
console.log(JSON.stringify({ wallSeconds, cpuSeconds: (user + system) / 1e6, mb: bytes / 1e6 }))
