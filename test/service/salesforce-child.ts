import type { Connector } from '../../shared/connector/connector.ts'
import { salesforce } from '../../shared/connectors/salesforce/salesforce.ts'
import { syncSource } from '../support/sync-source.ts'

/** `salesforce-child.ts <settings>`: one run of a copy of Thing__c. Prints rows, time and the most memory this process had. */
const object = { source_schema: 'objects', source_table: 'Thing__c' }
const destination = { destination_catalog: 'main', destination_schema: 'crm' }
await using sync = await syncSource(salesforce as Connector, JSON.parse(process.argv[2]!), [
  { table: { ...object, ...destination } },
])
const startedAt = performance.now()
const { state, streams } = await sync.run()
const { user, system } = process.cpuUsage()
console.log(
  JSON.stringify({
    state,
    error: streams[0]?.error,
    rows: streams[0]?.rows,
    seconds: (performance.now() - startedAt) / 1000,
    cpuSeconds: (user + system) / 1e6,
    maxRssMb: process.resourceUsage().maxRSS / 1024,
  }),
)
