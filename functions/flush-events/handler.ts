import type { SQSBatchResponse, SQSEvent } from 'aws-lambda'
import { createBatchWriter } from '../../shared/columnar/batch-writer.ts'
import { defaultFlushLimits } from '../../shared/push/flush.ts'
import { flushOnce } from '../../shared/push/flush-once.ts'
import { tableFile } from '../../shared/push/table-file.ts'
import { readEnv } from '../../shared/runtime/env.ts'
import { logger, metrics, observed } from '../observed.ts'
import { PushEnv } from '../push-env.ts'
import { openTables, pushPorts } from '../push-ports.ts'
import { readMessages } from '../sqs-event.ts'

const ports = pushPorts(readEnv(PushEnv, process.env))
const tables = openTables(ports)

/** A few seconds of events -> one file a table, announced. Messages that are not in an announced file come again. */
export const handler = observed(async (event: SQSEvent): Promise<SQSBatchResponse> => {
  const { records, failed, objects } = await readMessages(event, ports.storage)
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
  const left = records.map(({ receipt }) => receipt).filter((receipt) => !handled.has(receipt))
  await ports.storage.delete([...objects].flatMap(([receipt, path]) => (handled.has(receipt) ? path : [])))
  metrics.addMetric('PushFlushed', 'Count', handled.size)
  return { batchItemFailures: [...failed, ...left].map((itemIdentifier) => ({ itemIdentifier })) }
})
