import { type ChildProcess, fork } from 'node:child_process'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Calls } from './aws-calls.ts'
import { StatesError } from './state-machine.ts'

/** A deployed function, as the template describes it. */
export interface FunctionSpec {
  name: string
  /** Folder of the real bundle. */
  folder: string
  /** `index.handler`. */
  handler: string
  environment: Readonly<Record<string, string>>
  timeoutMs: number
  memoryMb: number
  /** Folder whose `nodejs/node_modules` a layer adds. */
  layer?: string
}

export interface Invocation {
  result: unknown
  /** Milliseconds in the handler. */
  durationMs: number
  /** Milliseconds of processor time in the handler. */
  cpuMs: number
  /** What the handler asked of AWS. */
  calls: Record<string, Calls>
  /** Milliseconds from starting the process to the handler being ready; zero on a warm start. */
  coldStartMs: number
  maxRssMb: number
}

/** Synchronous invocation payload limit, both ways (Lambda quotas). */
const MAX_PAYLOAD_BYTES = 6 * 1024 * 1024

/**
 * Runs real bundles as Lambda would: an own process for each environment, one event at a time in it, memory and time
 * enforced, environments kept warm and thrown away after an error or a timeout.
 */
export class LambdaHost {
  readonly #functions = new Map<string, FunctionSpec>()
  readonly #idle = new Map<string, Environment[]>()
  readonly #all = new Set<Environment>()
  #extra: Readonly<Record<string, string>>
  #server: Server | undefined
  /** Every invocation, for the cost model; of one by an event source, the size of each message. */
  readonly log: (Invocation & { name: string; payloadBytes: number; recordBytes: readonly number[] })[] = []

  /** Why invocations failed: crashes, time-outs and what handlers threw. */
  readonly failures: string[] = []

  /** `extra` is what AWS itself would provide: region, credentials, endpoints. */
  constructor(functions: readonly FunctionSpec[], extra: Readonly<Record<string, string>>) {
    for (const spec of functions) this.#functions.set(spec.name, spec)
    this.#extra = extra
  }

  /** Invokes by name or ARN. Rejects with a StatesError named as Lambda names its errors. */
  async invoke(nameOrArn: string, event: unknown): Promise<Invocation> {
    const name = nameOrArn.replace(/^arn:.*:function:/, '')
    const spec = this.#functions.get(name)
    if (!spec) throw new StatesError('Lambda.ResourceNotFoundException', `there is no function ${name}`)
    const payload = JSON.stringify(event)
    const payloadBytes = Buffer.byteLength(payload)
    if (payloadBytes > MAX_PAYLOAD_BYTES) {
      throw new StatesError(
        'Lambda.RequestTooLargeException',
        `${payloadBytes} bytes; the limit is ${MAX_PAYLOAD_BYTES}`,
      )
    }
    const environment = this.#idle.get(name)?.pop() ?? (await this.#start(spec))
    const invocation = await environment.invoke(payload).catch((error) => {
      this.failures.push(`${name}: ${error.name}: ${error.message}`)
      this.#all.delete(environment)
      environment.kill()
      throw error
    })
    this.#idle.set(name, [...(this.#idle.get(name) ?? []), environment])
    const { Records = [] } = event as { Records?: readonly { body: string }[] }
    this.log.push({ ...invocation, name, payloadBytes, recordBytes: Records.map(({ body }) => body.length) })
    return invocation
  }

  /** Kills one running environment of the function, as AWS may at any time. True when there was one. */
  kill(name: string): boolean {
    const victim = [...this.#all].find((e) => e.spec.name === name && e.busy)
    victim?.kill()
    return victim !== undefined
  }

  [Symbol.dispose]() {
    this.#server?.close()
    for (const environment of this.#all) environment.kill()
  }

  /** Serves Lambda's Invoke API, so that functions reach each other; the functions learn its address. */
  async serve(): Promise<void> {
    const server = createServer(async (request, response) => {
      const name = /^\/2015-03-31\/functions\/([^/]+)\/invocations$/.exec(decodeURIComponent(request.url ?? ''))?.[1]
      const chunks: Buffer[] = []
      for await (const chunk of request) chunks.push(chunk as Buffer)
      try {
        const { result } = await this.invoke(name ?? '', JSON.parse(Buffer.concat(chunks).toString('utf8')))
        response.end(JSON.stringify(result))
      } catch (error) {
        const { name: errorType, message: errorMessage } = error as Error
        response.setHeader('x-amz-function-error', 'Unhandled').end(JSON.stringify({ errorType, errorMessage }))
      }
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    this.#server = server
    this.#extra = {
      ...this.#extra,
      AWS_ENDPOINT_URL_LAMBDA: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    }
  }

  async #start(spec: FunctionSpec): Promise<Environment> {
    const environment = new Environment(spec, this.#extra)
    this.#all.add(environment)
    await environment.ready
    return environment
  }
}

class Environment {
  readonly spec: FunctionSpec
  readonly ready: Promise<void>
  busy = false
  #coldStartMs = 0
  readonly #child: ChildProcess

  constructor(spec: FunctionSpec, extra: Readonly<Record<string, string>>) {
    this.spec = spec
    const started = performance.now()
    this.#child = fork(new URL('./lambda-process.ts', import.meta.url), [spec.folder, spec.handler], {
      env: {
        ...extra,
        ...spec.environment,
        PATH: process.env.PATH ?? '',
        AWS_LAMBDA_FUNCTION_NAME: spec.name,
        AWS_LAMBDA_FUNCTION_MEMORY_SIZE: String(spec.memoryMb),
        ...(spec.layer && { NODE_PATH: `${spec.layer}/nodejs/node_modules` }),
      },
      execArgv: [],
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
      serialization: 'advanced',
    })
    this.ready = this.#next('init').then(() => {
      this.#coldStartMs = performance.now() - started
    })
  }

  async invoke(payload: string): Promise<Invocation> {
    this.busy = true
    const coldStartMs = this.#coldStartMs
    this.#coldStartMs = 0
    const reply = this.#next('invoke')
    this.#child.send({ payload, deadlineMs: Date.now() + this.spec.timeoutMs })
    let timer: NodeJS.Timeout | undefined
    const timeout = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () =>
          reject(new StatesError('Sandbox.Timedout', `${this.spec.name} timed out after ${this.spec.timeoutMs} ms`)),
        this.spec.timeoutMs,
      )
    })
    const answer = await Promise.race([reply, timeout]).finally(() => clearTimeout(timer))
    this.busy = false
    if (answer.maxRssMb > this.spec.memoryMb) {
      throw new StatesError(
        'Runtime.OutOfMemory',
        `${this.spec.name} used ${answer.maxRssMb} of ${this.spec.memoryMb} MB`,
      )
    }
    if (answer.error) throw new StatesError(answer.error.name, answer.error.message)
    const result = answer.result === undefined ? null : JSON.parse(answer.result)
    if (answer.result && Buffer.byteLength(answer.result) > MAX_PAYLOAD_BYTES) {
      throw new StatesError('Function.ResponseSizeTooLarge', `the reply of ${this.spec.name} is over 6 MB`)
    }
    const { durationMs, cpuMs, calls, maxRssMb } = answer
    return { result, durationMs, cpuMs, calls, coldStartMs, maxRssMb }
  }

  kill() {
    this.#child.kill('SIGKILL')
  }

  #next(phase: string): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const child = this.#child
      const exited = () =>
        settle(() => reject(new StatesError('Runtime.ExitError', `${this.spec.name} died in ${phase}`)))
      const replied = (message: unknown) => settle(() => resolve(message as Reply))
      const settle = (done: () => void) => {
        child.off('exit', exited)
        child.off('message', replied)
        done()
      }
      child.once('exit', exited)
      child.once('message', replied)
    })
  }
}

export interface Reply extends Omit<Invocation, 'result' | 'coldStartMs'> {
  /** As JSON. */
  result?: string
  error?: { name: string; message: string }
}
