import type { SocketClass } from '../../sdk/index.ts'

export interface Ingest {
  offset: number
  count: number
  rows: string
}

/** One connection as its server sees it. */
export interface Peer {
  token: string
  open: { table: string; session?: string; durable?: number }
  ingests: Ingest[]
  /** True after the producer's `close`. */
  saidClose: boolean
  send(message: object): void
  ack(durable: number, committed?: number): void
  /** The connection ends, without a word or with an error told first. */
  cut(error?: { code: string; retryable: boolean; retryAfterMs?: number }, closeCode?: number): void
}

/** What the server does with a connection: any part left out is answered as a server that keeps everything would. */
export interface Script {
  /** The answer to `open`; a refusal is a cut. */
  opened?(peer: Peer, connection: number): void
  ingest?(peer: Peer, ingest: Ingest, connection: number): void
}

const opened = {
  type: 'opened',
  v: 1,
  session: 's1',
  durable: 0,
  committed: 0,
  window: { bytes: 1 << 20, records: 1000 },
  limits: { messageBytes: 1 << 20, recordBytes: 1 << 20, batchBytes: 1 << 20 },
  encodings: ['none'],
  binary: false,
}

/** The far end of a WebSocket, in this process: docs/protocol.md spoken by a script. `webSocket` is for the client's option. */
export function scriptedServer(script: Script = {}) {
  const peers: Peer[] = []
  let durable = 0

  class ScriptedSocket {
    binaryType = 'blob'
    onopen: (() => void) | null = null
    onmessage: ((event: { data: unknown }) => void) | null = null
    onerror: (() => void) | null = null
    onclose: ((event: { code: number; reason: string }) => void) | null = null
    readonly #connection = peers.length
    readonly #peer: Peer
    #ended = false

    constructor(_url: string, protocols: string[]) {
      const bearer = protocols.find((protocol) => protocol.startsWith('bearer.'))!.slice('bearer.'.length)
      this.#peer = {
        token: Buffer.from(bearer, 'base64url').toString(),
        open: { table: '' },
        ingests: [],
        saidClose: false,
        send: (message) => this.#later(() => this.onmessage?.({ data: JSON.stringify(message) })),
        ack: (upTo, committed = 0) => {
          durable = Math.max(durable, upTo)
          this.#peer.send({ type: 'ack', durable: upTo, committed })
        },
        cut: (error, closeCode = 1006) => {
          if (error) this.#peer.send({ type: 'error', message: error.code, ...error })
          this.#later(() => {
            this.#ended = true
            this.onclose?.({ code: closeCode, reason: '' })
          })
        },
      }
      peers.push(this.#peer)
      this.#later(() => this.onopen?.())
    }

    send(data: string | Uint8Array) {
      if (this.#ended) return
      const message = JSON.parse(String(data))
      if (message.type === 'open') {
        this.#peer.open = message
        if (script.opened) script.opened(this.#peer, this.#connection)
        else this.#peer.send({ ...opened, durable })
      } else if (message.type === 'ingest') {
        this.#peer.ingests.push(message)
        if (script.ingest) script.ingest(this.#peer, message, this.#connection)
        else this.#peer.ack(message.offset + message.count)
      } else if (message.type === 'close') {
        this.#peer.saidClose = true
        this.#peer.send({ type: 'closed', durable, committed: durable })
      }
    }

    close() {
      this.#ended = true
    }

    /** A network answers later, never within the call. */
    #later(work: () => void) {
      setImmediate(() => {
        if (!this.#ended) work()
      })
    }
  }

  return { peers, opened, webSocket: ScriptedSocket as unknown as SocketClass }
}

/** The `id` of every record of these messages, in order. */
export const idsOf = (ingests: readonly Ingest[]): number[] =>
  ingests.flatMap(({ rows }) =>
    rows
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).id),
  )
