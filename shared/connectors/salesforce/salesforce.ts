import type { Connector } from '../../connector/connector.ts'
import { check } from './check.ts'
import { config, type SalesforceConfig } from './config.ts'
import { discover } from './describe.ts'
import { Org } from './org.ts'
import { queryStream } from './query.ts'
import { snapshotStream } from './snapshot.ts'
import { openSource } from './source.ts'

/** Standard and custom objects of a Salesforce org. */
export const salesforce: Connector<SalesforceConfig, Org> = {
  name: 'salesforce',
  title: 'Salesforce',
  about: {
    auth: 'OAuth: client credentials, JWT bearer, refresh token',
    objects:
      'standard and custom objects that can be queried, in the schema `objects`; not external and big objects, nor those that need a filter',
    modes: ['query', 'snapshot'],
    position:
      "`SystemModstamp`, else `LastModifiedDate`, `CreatedDate`, `LoginTime`: a finished second of the org's clock; and the place in the delete log",
    snapshot: 'REST queries, or Bulk API 2.0 jobs of ranges of ids; each page is resumable',
    changes: 'rows whose cursor grew, with a look-back; formula fields by a read of their columns alone',
    deletes: 'recycle bin (`queryAll`), delete log (`getDeleted`), a sweep of keys',
    historyLoss: 'delete log older than 15 days or purged: the keys are compared, nothing is copied again',
    limits:
      "a share of the org's daily API calls, a number of bulk jobs at once, requests of a run; compound fields are read by their parts",
    tested: "a simulator written from the vendor's documentation; with `LIVE=1` an org of yours",
  },
  config,
  // Signing in waits for the first request: a wrong secret is its error.
  connect: async (config, run) => new Org(config, run),
  close: async () => {},
  check,
  discover,
  async open(org, table, selection) {
    const source = await openSource(org, table, selection)
    return selection.mode === 'snapshot' ? snapshotStream(source) : queryStream(source)
  },
}
