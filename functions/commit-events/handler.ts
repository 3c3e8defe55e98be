import type { SQSBatchResponse, SQSEvent } from 'aws-lambda'
import { asIngestError } from '../../shared/core/errors.ts'
import type { TableSnapshot } from '../../shared/delta/table.ts'
import { readAnnouncement } from '../../shared/push/announcement.ts'
import { commitAnnounced } from '../../shared/push/commit-announced.ts'
import { readEnv } from '../../shared/runtime/env.ts'
import { logger, metrics, observed } from '../observed.ts'
import { PushEnv } from '../push-env.ts'
import { pushPorts } from '../push-ports.ts'
import { readMessages } from '../sqs-event.ts'

const ports = pushPorts(readEnv(PushEnv, process.env))
/** The version of each table that this environment saw last: less of the log is read. */
const snapshots = new Map<string, TableSnapshot>()

/** Flushed files -> one version a table. A table that fails keeps its messages, and the others go on. */
export const handler = observed(async (event: SQSEvent, context): Promise<SQSBatchResponse> => {
  const { records, failed, objects } = await readMessages(event.Records, ports.storage)
  for (const [table, some] of Map.groupBy(records, ({ group }) => group)) {
    try {
      const announcements = some.map(readAnnouncement)
      const owner = `commit-events/${context.awsRequestId}`
      const result = await commitAnnounced(table, announcements, owner, ports, snapshots.get(table))
      snapshots.set(table, result.snapshot)
      await ports.storage.delete(some.flatMap(({ receipt }) => objects.get(receipt) ?? []))
      measure(result.committed, result.refused.length)
    } catch (cause) {
      logger.error('a table could not be committed', asIngestError(cause))
      failed.push(...some.map(({ receipt }) => receipt))
    }
  }
  return { batchItemFailures: failed.map((itemIdentifier) => ({ itemIdentifier })) }
})

function measure(committed: readonly { rows: number; oldestMs: number }[], refused: number) {
  metrics.addMetric(
    'PushRowsCommitted',
    'Count',
    committed.reduce((sum, { rows }) => sum + rows, 0),
  )
  metrics.addMetric('PushFilesCommitted', 'Count', committed.length)
  metrics.addMetric('PushFilesRefused', 'Count', refused)
  for (const { oldestMs } of committed) metrics.addMetric('PushLag', 'Milliseconds', Date.now() - oldestMs)
}
