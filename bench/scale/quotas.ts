/** Default quotas of a new account in us-east-1; all of them can be raised but those marked fixed. */
export interface Quota {
  name: string
  limit: number
  fixed?: true
  need: number
}

/** What 1 GB/s of raw events asks for, by messages of 32 KB and the given ratio of queued to raw bytes. */
export function pushQuotas(mbPerSecond: number, queuedRatio: number, receiveSeconds: number): Quota[] {
  const messages = (mbPerSecond * 1e6 * queuedRatio) / 32_768
  return [
    { name: 'API Gateway, requests per second of the account', limit: 10_000, need: messages },
    { name: 'Lambda, concurrent executions', limit: 1_000, need: messages * receiveSeconds },
    { name: 'Lambda, new requests per second for one function', limit: 10_000, need: messages },
    { name: 'SQS, messages in flight of a standard queue', limit: 120_000, need: messages * 5 },
    {
      name: 'SQS, calls per second of a FIFO queue (high throughput)',
      limit: 3_000,
      need: (3 * mbPerSecond * queuedRatio) / 6,
    },
    { name: 'DynamoDB, writes per second to one session', limit: 1_000, fixed: true, need: 60 },
    { name: 'S3, PUT per second under one prefix', limit: 3_500, need: (mbPerSecond * queuedRatio) / 6 + 20 },
  ]
}

/** What pipelines on one schedule ask for when all start in the same minute. */
export function pullQuotas(pipelines: number, tasks: number, taskSeconds: number): Quota[] {
  const starts = pipelines / 60
  return [
    { name: 'EventBridge Scheduler, invocations per second', limit: 1_000, need: starts },
    { name: 'EventBridge Scheduler, schedules', limit: 1_000_000, need: pipelines },
    { name: 'Step Functions, StartExecution per second', limit: 300, need: starts * (1 + tasks) },
    { name: 'Step Functions, state transitions per second', limit: 5_000, need: starts * (6 + 3 * tasks) },
    { name: 'Lambda, concurrent executions', limit: 1_000, need: starts * tasks * taskSeconds + starts * 4 },
    { name: 'Secrets Manager, GetSecretValue per second', limit: 10_000, need: starts * (1 + tasks) },
  ]
}

export const bindsFirst = (quotas: readonly Quota[]): Quota =>
  quotas.reduce((worst, quota) => (quota.need / quota.limit > worst.need / worst.limit ? quota : worst))
