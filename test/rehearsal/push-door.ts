import type { SQSClient } from '@aws-sdk/client-sqs'
import type { Account } from './account.ts'
import { type Faults, pollQueue } from './event-sources.ts'
import { LambdaHost } from './lambda-host.ts'
import { type Gateway, startGateway } from './socket-gateway.ts'

export interface PushDoorOptions {
  /** What AWS itself would provide to the functions. */
  env: Readonly<Record<string, string>>
  sqs: SQSClient
  faults?: Faults
  /** True: Lambda refuses to run this message, as it does over the account's concurrency. */
  throttle?(): boolean
  /** Told of each message on the socket and its reply. */
  onMessage?(body: string, reply: string): void
}

export interface PushDoor extends AsyncDisposable {
  host: LambdaHost
  gateway: Gateway
}

/** As this machine has few cores; Lambda would start an environment for each. */
const MESSAGES_AT_A_TIME = 4

/** The deployed functions of push behind a gateway and event sources, until it is disposed of. */
export async function startPushDoor(account: Account, options: PushDoorOptions): Promise<PushDoor> {
  const { env, sqs, faults = {}, throttle = () => false, onMessage = () => {} } = options
  let host: LambdaHost
  const call = (name: string) => async (event: unknown) => (await host.invoke(name, event)).result as never
  const receive = call(account.routes.get('$default')!)
  const { functionName, identityHeaders } = account.socketAuthorizer
  const gateway = await startGateway({
    identityHeaders,
    authorize: call(functionName),
    connect: call(account.routes.get('$connect')!),
    message: atMost(MESSAGES_AT_A_TIME, async (event) => {
      if (throttle()) throw new Error('TooManyRequestsException')
      const reply = (await receive(event)) as { statusCode: number; body?: string }
      onMessage((event as { body: string }).body, reply.body ?? '')
      return reply
    }),
    disconnect: call(account.routes.get('$disconnect')!),
  })
  // In the template it is the address of the API, which is not on this machine.
  const functions = account.functions.map((spec) =>
    spec.environment.CALLBACK_URL
      ? { ...spec, environment: { ...spec.environment, CALLBACK_URL: gateway.managementUrl } }
      : spec,
  )
  host = new LambdaHost(functions, env)
  const stop = new AbortController()
  const sources = account.mappings.map((mapping) => pollQueue(mapping, { sqs, host, signal: stop.signal, faults }))
  return {
    host,
    gateway,
    async [Symbol.asyncDispose]() {
      stop.abort()
      await gateway.close()
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
