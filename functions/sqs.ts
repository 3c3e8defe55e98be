import { SQSClient } from '@aws-sdk/client-sqs'
import { sqsQueue } from '../shared/queue/sqs.ts'
import type { Storage } from '../shared/storage/storage.ts'

/** Lives as long as the Lambda's environment. */
const client = new SQSClient({})

/** Records too large for a message lie here in the lakehouse's bucket. */
const prefix = '_push/queue'

export const eventsQueue = (url: string, storage: Storage) => sqsQueue(client, url, { storage, prefix })

export const flushedQueue = (url: string, storage: Storage) => sqsQueue(client, url, { storage, prefix, fifo: true })
