import type { SQSClient } from '@aws-sdk/client-sqs'
import type { Account } from './account.ts'
import { type Faults, pollQueue } from './event-sources.ts'
import { type HttpGateway, startHttpGateway } from './http-gateway.ts'
import { LambdaHost } from './lambda-host.ts'
import { type Gateway, startGateway } from './socket-gateway.ts'

export interface PushDoorOptions {
  /** What AWS itself would provide to the functions. */
  env: Readonly<Record<string, string>>
  sqs: SQSClient
  faults?: Faults
  /** True: Lambda refuses to run this message, as it does over the account's concurrency. */
  throttle?(): boolean
  /** Told of each message on the socket, and of its reply. */
  onMessage?(bytes: number, replyBytes: number): void
  /** Told of each request to the HTTP API. */
  onRequest?(bytes: number): void
}

export interface PushDoor extends AsyncDisposable {
  host: LambdaHost
  gateway: Gateway
  http: HttpGateway
}

/** As this machine has few cores; Lambda would start an environment for each. */
const MESSAGES_AT_A_TIME = 4

/** Lambda begins with five batches at a time. */
const POLLERS = 3

type Reply = { statusCode: number; body?: string }

/** The deployed functions of push behind both gateways and event sources, until it is disposed of. */
export async function startPushDoor(account: Account, options: PushDoorOptions): Promise<PushDoor> {
  const { env, sqs, faults = {}, throttle = () => false, onMessage = () => {}, onRequest = () => {} } = options
  let host: LambdaHost
  const call = (name: string) => async (event: unknown) => (await host.invoke(name, event)).result as never
  const { functionName, identityHeaders } = account.socketAuthorizer
  const throttled = (name: string) =>
    atMost<Reply>(MESSAGES_AT_A_TIME, async (event) => {
      if (throttle()) throw new Error('TooManyRequestsException')
      return call(name)(event)
    })
  const receive = throttled(account.routes.get('$default')!)
  const gateway = await startGateway({
    identityHeaders,
    authorize: call(functionName),
    connect: call(account.routes.get('$connect')!),
    message: async (event) => {
      const reply = await receive(event)
      onMessage(Buffer.byteLength((event as { body: string }).body), Buffer.byteLength(reply.body ?? ''))
      return reply
    },
    disconnect: call(account.routes.get('$disconnect')!),
  })
  const posts = [...account.routes].filter(([key]) => key.startsWith('POST /zerobus/'))
  const http = await startHttpGateway({
    authorize: call(account.httpAuthorizer),
    routes: new Map(
      posts.map(([key, name]) => {
        const run = throttled(name)
        return [
          key,
          (event) => {
            const { body, isBase64Encoded } = event as { body: string; isBase64Encoded: boolean }
            onRequest(isBase64Encoded ? Math.ceil((body.length * 3) / 4) : Buffer.byteLength(body))
            return run(event)
          },
        ]
      }),
    ),
  })
  // In the template these are the addresses of the APIs, which are not on this machine.
  const addresses = { CALLBACK_URL: gateway.managementUrl, POST_URL: `${http.url}/zerobus/v1/connections` }
  const functions = account.functions.map((spec) => {
    const known = Object.entries(addresses).filter(([name]) => name in spec.environment)
    return { ...spec, environment: { ...spec.environment, ...Object.fromEntries(known) } }
  })
  host = new LambdaHost(functions, env)
  const stop = new AbortController()
  const sources = account.mappings.flatMap((mapping) =>
    // A group of a FIFO queue has one consumer at a time, and here is one group.
    Array.from({ length: mapping.fifo ? 1 : POLLERS }, () =>
      pollQueue(mapping, { sqs, host, signal: stop.signal, faults }),
    ),
  )
  return {
    host,
    gateway,
    http,
    async [Symbol.asyncDispose]() {
      stop.abort()
      await gateway.close()
      await http[Symbol.asyncDispose]()
      await Promise.all(sources)
      host[Symbol.dispose]()
    },
  }
}

/** Calls wait when so many run. */
function atMost<T>(limit: number, work: (event: unknown) => Promise<T>): (event: unknown) => Promise<T> {
  const waiting: (() => void)[] = []
  let running = 0
  return async (event) => {
    if (running >= limit) await new Promise<void>((resolve) => waiting.push(resolve))
    running++
    try {
      return await work(event)
    } finally {
      running--
      waiting.shift()?.()
    }
  }
}
