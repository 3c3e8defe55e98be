import type { SQSBatchResponse, SQSEvent, SQSRecord } from 'aws-lambda'
import { createBatchWriter } from '../../shared/columnar/parquet-writer.ts'
import { defaultFlushLimits } from '../../shared/push/flush.ts'
import { flushOnce } from '../../shared/push/flush-once.ts'
import { tableFile } from '../../shared/push/table-file.ts'
import { readEnv } from '../../shared/runtime/env.ts'
import { logger, metrics, observed } from '../observed.ts'
import { PushEnv } from '../push-env.ts'
import { openTables, pushPorts } from '../push-ports.ts'
import { partsOf, readMessages } from '../sqs-event.ts'

const ports = pushPorts(readEnv(PushEnv, process.env))
const tables = openTables(ports)

/** Compressed bytes that become one file: some 80 MB of JSON, a second of work. */
const PART_BYTES = 16 << 20
/** No part is begun later than this before the time-out: what is left comes again. */
const PART_MS = 20_000

/** A few seconds of events -> one file a table, or a few, announced. Messages that are not in an announced file come again. */
export const handler = observed(async (event: SQSEvent, context): Promise<SQSBatchResponse> => {
  const left: string[] = []
  for (const part of partsOf(event, PART_BYTES)) {
    if (context.getRemainingTimeInMillis() < PART_MS) left.push(...part.map(({ messageId }) => messageId))
    else left.push(...(await flush(part)))
  }
  metrics.addMetric('PushFlushed', 'Count', event.Records.length - left.length)
  return { batchItemFailures: left.map((itemIdentifier) => ({ itemIdentifier })) }
})

/** The ids of messages that are not in an announced file. */
async function flush(messages: readonly SQSRecord[]): Promise<string[]> {
  const { records, failed, objects } = await readMessages(messages, ports.storage)
  const { handled, errors } = await flushOnce(
    records,
    {
      ...ports,
      ...(await tables()),
      openFile: async (target) => tableFile(target, ports.storage.writer(target.path), createBatchWriter),
    },
    defaultFlushLimits,
  )
  for (const error of errors) logger.error('a table takes no events now', error)
  await ports.storage.delete([...objects].flatMap(([receipt, path]) => (handled.has(receipt) ? path : [])))
  return [...failed, ...records.map(({ receipt }) => receipt).filter((receipt) => !handled.has(receipt))]
}
