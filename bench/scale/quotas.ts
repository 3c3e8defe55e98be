/** Default quotas of a new account in us-east-1; all of them can be raised but those marked fixed. */
export interface Quota {
  name: string
  limit: number
  fixed?: true
  need: number
}

/** What a stream of raw events asks for, in frames of `frameMb` that are posted, mostly kept as objects and written in files. */
export function pushQuotas(load: {
  mbPerSecond: number
  frameMb: number
  compressed: number
  receiveSeconds: number
  flushSecondsPerMb: number
}): Quota[] {
  const frames = load.mbPerSecond / load.frameMb
  const files = (load.mbPerSecond * load.compressed) / 16
  const executions = frames * load.receiveSeconds + load.mbPerSecond * load.flushSecondsPerMb
  return [
    { name: 'API Gateway, requests per second of the account', limit: 10_000, need: frames },
    { name: 'Lambda, concurrent executions', limit: 1_000, need: executions },
    { name: 'Lambda, new requests per second for one function', limit: 10_000, need: frames },
    { name: 'SQS, messages in flight of a standard queue', limit: 120_000, need: frames * 10 },
    { name: 'SQS, calls per second of a FIFO queue (high throughput)', limit: 3_000, need: 3 * files },
    { name: 'DynamoDB, writes per second to one session', limit: 1_000, fixed: true, need: 60 },
    { name: 'S3, PUT per second under one prefix', limit: 3_500, need: frames + 3 * files },
    { name: 'push.flushConcurrency, as it is set', limit: 20, need: load.mbPerSecond * load.flushSecondsPerMb },
  ]
}

/** What pipelines on one schedule ask for when all start within so many minutes. */
export function pullQuotas(pipelines: number, tasks: number, taskSeconds: number, minutes: number): Quota[] {
  const starts = pipelines / (minutes * 60)
  return [
    { name: 'EventBridge Scheduler, invocations per second', limit: 1_000, need: starts },
    { name: 'EventBridge Scheduler, schedules', limit: 1_000_000, need: pipelines },
    { name: 'bytes of one configuration, 280 a pipeline', limit: 250_000, fixed: true, need: pipelines * 280 },
    { name: 'Step Functions, StartExecution per second', limit: 300, need: starts * (1 + tasks) },
    { name: 'Step Functions, state transitions per second', limit: 5_000, need: starts * (6 + 3 * tasks) },
    { name: 'Lambda, concurrent executions', limit: 1_000, need: starts * tasks * taskSeconds + starts * 4 },
    { name: 'Secrets Manager, GetSecretValue per second', limit: 10_000, need: starts * (1 + tasks) },
  ]
}

export const bindsFirst = (quotas: readonly Quota[]): Quota =>
  quotas.reduce((worst, quota) => (quota.need / quota.limit > worst.need / worst.limit ? quota : worst))
