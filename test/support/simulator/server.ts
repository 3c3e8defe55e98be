import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gzipSync } from 'node:zlib'

export interface SimRequest {
  method: string
  path: string
  query: URLSearchParams
  headers: IncomingMessage['headers']
  body: string
}

export interface SimAnswer {
  status?: number
  headers?: Record<string, string>
  /** Exactly one of these, or nothing. */
  json?: unknown
  text?: string
  bytes?: Uint8Array
}

/**
 * What goes wrong with one answer. `reset`: the connection is cut before it. `cut`: in the middle of the body. `half`: half of
 * the body comes as if it were all. `garbage`: a page of a proxy comes in its place, with status 200.
 */
export type Fault = SimAnswer | 'reset' | 'cut' | 'half' | 'garbage'

/**
 * A vendor's HTTP API in this process: a real server on a free port of the loopback with a clock of its own. What is special to
 * a vendor is its handler. Every request moves the clock on, so that what takes minutes at the vendor takes none here.
 */
export class Simulator implements AsyncDisposable {
  /** Every request so far and what came of it. */
  readonly log: { method: string; path: string; query: string; status: number | string }[] = []
  /** Asked before each answer; the first fault that is given happens. */
  fault: (request: SimRequest, number: number) => Fault | undefined = () => undefined
  /** How much later each request is than the one before. */
  requestMs = 1_000
  #nowMs: number
  readonly #server: Server

  private constructor(
    handle: (request: SimRequest) => SimAnswer | Promise<SimAnswer>,
    startMs: number,
    ready: (simulator: Simulator) => void,
  ) {
    this.#nowMs = startMs
    this.#server = createServer((incoming, outgoing) => {
      this.#serve(handle, incoming, outgoing).catch((error) => {
        outgoing.statusCode = 500
        outgoing.end(String(error))
      })
    })
    this.#server.listen(0, '127.0.0.1', () => ready(this))
  }

  static start(
    handle: (request: SimRequest) => SimAnswer | Promise<SimAnswer>,
    startMs = Date.UTC(2026, 0, 5, 12),
  ): Promise<Simulator> {
    return new Promise((ready) => new Simulator(handle, startMs, ready))
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  now(): number {
    return this.#nowMs
  }

  pass(ms: number): void {
    this.#nowMs += ms
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((done) => this.#server.close(done))
  }

  async #serve(
    handle: (request: SimRequest) => SimAnswer | Promise<SimAnswer>,
    incoming: IncomingMessage,
    outgoing: ServerResponse,
  ): Promise<void> {
    const parts: Buffer[] = []
    for await (const part of incoming) parts.push(part as Buffer)
    const url = new URL(incoming.url!, this.url)
    const request: SimRequest = {
      method: incoming.method!,
      path: url.pathname,
      query: url.searchParams,
      headers: incoming.headers,
      body: Buffer.concat(parts).toString('utf8'),
    }
    this.pass(this.requestMs)
    const fault = this.fault(request, this.log.length)
    const entry = { method: request.method, path: url.pathname, query: url.search, status: 'reset' as number | string }
    this.log.push(entry)
    if (fault === 'reset') return void outgoing.socket?.destroy()
    const answer = typeof fault === 'object' ? fault : fault === 'garbage' ? GARBAGE : await handle(request)
    entry.status = typeof fault === 'string' ? fault : (answer.status ?? 200)
    this.#answer(answer, incoming, outgoing, fault)
  }

  #answer(answer: SimAnswer, incoming: IncomingMessage, outgoing: ServerResponse, fault: Fault | undefined): void {
    const whole = Buffer.from(
      answer.bytes ?? answer.text ?? (answer.json === undefined ? '' : JSON.stringify(answer.json)),
    )
    const body = fault === 'half' ? whole.subarray(0, whole.length >> 1) : whole
    const zipped = body.length > 1_000 && /gzip/.test(String(incoming.headers['accept-encoding']))
    const sent = zipped ? gzipSync(body, { level: 1 }) : body
    outgoing.writeHead(answer.status ?? 200, {
      date: new Date(this.#nowMs).toUTCString(),
      ...(answer.json !== undefined && { 'content-type': 'application/json;charset=UTF-8' }),
      ...(zipped && { 'content-encoding': 'gzip' }),
      ...(answer.status !== 204 && { 'content-length': String(sent.length) }),
      ...answer.headers,
    })
    if (fault !== 'cut') return void outgoing.end(sent)
    outgoing.write(sent.subarray(0, sent.length >> 1), () => outgoing.socket?.destroy())
  }
}

const GARBAGE: SimAnswer = { text: '<html><body>Please sign in to the guest network</body></html>' }
