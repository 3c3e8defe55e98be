import type * as z from 'zod'
import type { Clock } from '../../core/clock.ts'
import { IngestError } from '../../core/errors.ts'
import type { Random } from '../../core/random.ts'
import { bodyChunks, wholeBody } from './body.ts'
import { IncompleteBody, networkError, type Refusal, refusalError } from './errors.ts'
import { Retry, retryAfterMs } from './retry.ts'
import type { Token, Tokens } from './tokens.ts'

export interface HttpSettings<T extends Token = Token> {
  clock: Clock
  random: Random
  signal: AbortSignal
  /** The platform's, or one that records or replays (`recording.ts`). */
  fetch?: typeof fetch
  tokens?: Tokens<T>
  /** Headers of every request, given the token where there is one. */
  headers?(token: T | undefined): Record<string, string>
  /** The absolute address of a path, given the token where there is one. */
  address(path: string, token: T | undefined): string
  /** The source's own words for what went wrong; undefined for what it does not know. */
  translate?(refusal: Refusal): IngestError | undefined
  /** True when a refusal means that the token has expired. Default: status 401. */
  expired?(refusal: Refusal): boolean
  /** Sees every answer: quotas in headers, the source's clock. May throw to stop. */
  answered?(response: Response): void
  /** Requests of one connection of one run; one more is `source.quota_spent`. Default: no limit. */
  requests?: number
  /** Until the headers of an answer, and between two chunks of a body. Default 120 s. */
  timeoutMs?: number
  /** Tries of a request. Default 5. */
  attempts?: number
  /** A longer wait that the source asks for is left to the engine. Default 60 s. */
  maxWaitMs?: number
  /** Of a body that is read as a whole. Default 64 MiB. */
  maxBytes?: number
}

export interface HttpRequest {
  /** What is being done, for errors: `read Account`. */
  doing: string
  path: string
  method?: string
  headers?: Record<string, string>
  body?: string
  /** Sent without the token: the request that asks for one. */
  open?: boolean
}

/** A success, its body still to come. */
export interface HttpAnswer {
  headers: Headers
  status: number
  chunks: AsyncIterable<Uint8Array>
}

/**
 * Requests to one source that are tried again while that makes sense: passing faults with growing, jittered pauses, a
 * throttled one after the time it names, an expired token once with a new one, a body that ended early from its start.
 *
 * Every method throws IngestError only: `source.unreachable`, `source.unavailable`, `source.throttled` (retry),
 * `source.quota_spent`, `source.auth_rejected`, `source.permission_denied`, `source.object_missing`,
 * `source.tls_rejected` (fix), or the connector's own; and the abort signal's reason.
 */
export class HttpClient<T extends Token = Token> {
  readonly #settings: HttpSettings<T>
  #sent = 0

  constructor(settings: HttpSettings<T>) {
    this.#settings = settings
  }

  /** The tries of one request, for those who read a body as it comes. */
  retry(): Retry {
    const { clock, random, signal, attempts = 5, maxWaitMs = 60_000 } = this.#settings
    return new Retry({ clock, random, signal, attempts, maxWaitMs })
  }

  /** A whole body, complete by its length. */
  async bytes(request: HttpRequest): Promise<{ headers: Headers; status: number; body: Uint8Array }> {
    return await this.read(request, async ({ chunks, ...answer }) => ({
      ...answer,
      body: await wholeBody(chunks, this.#settings.maxBytes ?? 64 << 20),
    }))
  }

  /** A JSON body, as the schema has it. */
  async json<S extends z.ZodType>(request: HttpRequest, schema: S): Promise<z.output<S>> {
    return await this.read(request, async ({ chunks }) => {
      const text = Buffer.from(await wholeBody(chunks, this.#settings.maxBytes ?? 64 << 20)).toString('utf8')
      const parsed = schema.safeParse(parseJson(text))
      if (parsed.success) return parsed.data
      const [issue] = parsed.error.issues
      throw new IngestError(
        'source.protocol_violation',
        `${request.doing}: the source's answer is not what its documentation says: ${issue?.path.join('.')} ${issue?.message}`,
      )
    })
  }

  /** Sends and reads until both succeed. `read` may be called again, from the start of a new body. */
  async read<R>(request: HttpRequest, read: (answer: HttpAnswer) => Promise<R>): Promise<R> {
    const retry = this.retry()
    for (;;) {
      try {
        return await read(await this.send(request))
      } catch (error) {
        await retry.again(this.translated(request, error))
      }
    }
  }

  /** One try; with a new token once when the old one has expired. */
  async send(request: HttpRequest): Promise<HttpAnswer> {
    const { tokens, expired = ({ status }) => status === 401 } = this.#settings
    if (!tokens || request.open) return this.#accepted(request, await this.#fetch(request, undefined))
    const token = await tokens.get()
    const first = await this.#fetch(request, token)
    if (first.response.ok) return this.#accepted(request, first)
    const refusal = await this.#refusal(request, first)
    if (!expired(refusal)) throw this.#refused(refusal)
    await tokens.refuse(token)
    return this.#accepted(request, await this.#fetch(request, await tokens.get()))
  }

  /** What a try threw, as one of ours. An abort passes as its reason. */
  translated(request: HttpRequest, error: unknown): IngestError {
    this.#settings.signal.throwIfAborted()
    return networkError(request.doing, error)
  }

  async #accepted(request: HttpRequest, open: OpenResponse): Promise<HttpAnswer> {
    if (!open.response.ok) throw this.#refused(await this.#refusal(request, open))
    return { headers: open.response.headers, status: open.response.status, chunks: open.chunks }
  }

  #refused(refusal: Refusal): IngestError {
    return this.#settings.translate?.(refusal) ?? refusalError(refusal)
  }

  async #refusal({ doing }: HttpRequest, { response, chunks }: OpenResponse): Promise<Refusal> {
    const body = await wholeBody(chunks, 1 << 20).catch(() => new Uint8Array())
    const waitMs = retryAfterMs(response.headers, this.#settings.clock.now())
    return {
      doing,
      status: response.status,
      headers: response.headers,
      body: Buffer.from(body.subarray(0, 65_536)).toString('utf8'),
      ...(waitMs !== undefined && { retryAfterMs: waitMs }),
    }
  }

  async #fetch(request: HttpRequest, token: T | undefined): Promise<OpenResponse> {
    const { signal, timeoutMs = 120_000, requests, address, answered } = this.#settings
    if (requests !== undefined && this.#sent >= requests)
      throw new IngestError(
        'source.quota_spent',
        `${request.doing}: this run has sent its ${requests} requests; raise the connection's limit, or wait for the next run`,
      )
    this.#sent += 1
    const hung = new AbortController()
    const watch = setTimeout(() => hung.abort(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs)
    try {
      const response = await (this.#settings.fetch ?? fetch)(address(request.path, token), {
        method: request.method ?? 'GET',
        headers: { ...this.#settings.headers?.(token), ...request.headers },
        ...(request.body !== undefined && { body: request.body }),
        signal: AbortSignal.any([signal, hung.signal]),
      })
      answered?.(response)
      return {
        response,
        chunks: bodyChunks(response, { idleMs: timeoutMs, abort: (reason) => hung.abort(reason) }),
      }
    } finally {
      clearTimeout(watch)
    }
  }
}

interface OpenResponse {
  response: Response
  chunks: AsyncIterable<Uint8Array>
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new IncompleteBody(`the body is not whole JSON (${text.length} characters)`, { cause })
  }
}
