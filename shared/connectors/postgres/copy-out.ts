import type { Connection } from 'pg'

const copyData = 0x64 // 'd'
const copyDone = 0x63 // 'c'
const errorResponse = 0x45 // 'E'
/** The socket is paused while this many bytes wait for the reader. */
const highWater = 1 << 20

/** What `pg` gives a query object and calls on it; `Submittable` in its typings has only `submit`. */
interface Submitted {
  submit(connection: Connection): void
  handleError(error: Error): void
  handleCommandComplete(): void
  handleReadyForQuery(): void
}

/**
 * The data of one `COPY ... TO STDOUT`, as the socket delivers it. PostgreSQL wraps every row in a message of its own:
 * this moves the rows of one socket chunk together in place and hands over that chunk, so that nothing is allocated or
 * copied per row (pg-copy-streams makes a Buffer per row). Chunks may end inside a row. Protocol: PostgreSQL
 * documentation, "COPY Operations".
 */
export class CopyOut implements Submitted, AsyncIterable<Uint8Array> {
  readonly #sql: string
  readonly #ready: Uint8Array[] = []
  #readyBytes = 0
  #stream: Connection['stream'] | undefined
  #parse: ((chunk: Buffer) => void) | undefined
  /** Bytes of the current message still to come, and whether they are row data. */
  #left = 0
  #isData = false
  #header = Buffer.alloc(5)
  #headerBytes = 0
  #failure: Error | undefined
  #ended = false
  #wake: (() => void) | undefined

  constructor(sql: string) {
    this.#sql = sql
  }

  submit(connection: Connection): void {
    const stream = connection.stream
    this.#stream = stream
    // `pg` parses the socket with one listener. It is put aside while rows flow, as pg-copy-streams does too.
    this.#parse = stream.listeners('data')[0] as (chunk: Buffer) => void
    stream.removeListener('data', this.#parse)
    stream.on('data', this.#onData)
    ;(connection as unknown as { query(sql: string): void }).query(this.#sql)
  }

  handleError(error: Error): void {
    this.#failure ??= error
    this.#finish()
  }

  handleCommandComplete(): void {}

  handleReadyForQuery(): void {
    this.#finish()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    for (;;) {
      const chunk = this.#ready.shift()
      if (chunk) {
        this.#readyBytes -= chunk.length
        if (this.#readyBytes < highWater && this.#stream?.isPaused()) this.#stream.resume()
        yield chunk
      } else if (this.#ended) {
        if (this.#failure) throw this.#failure
        return
      } else
        await new Promise<void>((done) => {
          this.#wake = done
        })
    }
  }

  /** True when the session is back in the hands of `pg` and can be used again. */
  get ended(): boolean {
    return this.#ended && this.#failure === undefined
  }

  readonly #onData = (chunk: Buffer): void => {
    let at = 0
    let out = 0
    while (at < chunk.length) {
      if (this.#left > 0) {
        const take = Math.min(this.#left, chunk.length - at)
        if (this.#isData) {
          if (out !== at) chunk.copyWithin(out, at, at + take)
          out += take
        }
        this.#left -= take
        at += take
        continue
      }
      if (this.#headerBytes === 0 && chunk.length - at >= 5) {
        const type = chunk[at]!
        if (type === copyDone || type === errorResponse) {
          this.#handBack(chunk, out, at, type)
          return
        }
        this.#isData = type === copyData
        this.#left = ((chunk[at + 1]! << 24) | (chunk[at + 2]! << 16) | (chunk[at + 3]! << 8) | chunk[at + 4]!) - 4
        at += 5
        continue
      }
      // A header cut by the end of a chunk is put together byte by byte.
      while (this.#headerBytes < 5 && at < chunk.length) this.#header[this.#headerBytes++] = chunk[at++]!
      if (this.#headerBytes < 5) break
      this.#headerBytes = 0
      const type = this.#header[0]!
      if (type === copyDone || type === errorResponse) {
        const rest = Buffer.concat([this.#header, chunk.subarray(at)])
        this.#push(chunk, out)
        this.#handBack(rest, 0, 0, type)
        return
      }
      this.#isData = type === copyData
      this.#left = this.#header.readInt32BE(1) - 4
    }
    this.#push(chunk, out)
  }

  #push(chunk: Buffer, length: number): void {
    if (length === 0) return
    this.#ready.push(chunk.subarray(0, length))
    this.#readyBytes += length
    if (this.#readyBytes >= highWater) this.#stream!.pause()
    this.#wake?.()
  }

  /** The rows have ended at `at`: the rest of the answer is for `pg`. */
  #handBack(chunk: Buffer, out: number, at: number, type: number): void {
    // CopyDone is 5 bytes and says nothing more. The rest is copied: the reader owns the chunk from now on.
    const rest = Buffer.from(chunk.subarray(type === copyDone ? at + 5 : at))
    this.#push(chunk, out)
    const stream = this.#stream!
    stream.removeListener('data', this.#onData)
    stream.on('data', this.#parse!)
    stream.resume()
    if (rest.length > 0) this.#parse!(rest)
  }

  #finish(): void {
    this.#ended = true
    this.#wake?.()
  }
}
