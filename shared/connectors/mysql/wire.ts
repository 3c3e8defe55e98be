import type { Socket } from 'node:net'
import type { Connection } from 'mysql2'
import { IngestError } from '../../core/errors.ts'
import { ServerError } from './errors.ts'

/** The socket is paused while this many bytes wait for the reader. */
const highWater = 1 << 20
const wholePacket = 0xffffff

/**
 * The socket of a session that is signed in, without the driver: packets as slices of the chunks that the socket
 * delivers, where the driver makes an object per row. `handBack` returns it after a whole answer.
 * Protocol: MySQL Internals, "MySQL Packets".
 */
export class Wire {
  readonly #socket: Socket
  readonly #parse: ((chunk: Buffer) => void)[]
  readonly #ready: Buffer[] = []
  #readyBytes = 0
  #failure: Error | undefined
  #wake: (() => void) | undefined

  constructor(connection: Connection) {
    this.#socket = (connection as unknown as { stream: Socket }).stream
    this.#parse = this.#socket.listeners('data') as ((chunk: Buffer) => void)[]
    this.#socket.removeAllListeners('data')
    this.#socket.on('data', this.#onData)
    this.#socket.on('error', this.#onError)
    this.#socket.on('close', this.#onClose)
  }

  /** Sends one command; commands of ours are far below the size of one packet. */
  send(payload: Buffer): void {
    const header = Buffer.alloc(4)
    header.writeUIntLE(payload.length, 0, 3)
    this.#socket.write(Buffer.concat([header, payload]))
  }

  /**
   * Packets of the answer, those of one chunk together. Never ends by itself: the reader knows which packet is the last.
   *
   * @throws the error of a lost socket; a packet that tells of an error is the reader's
   */
  async *packets(): AsyncGenerator<Buffer[], void, undefined> {
    let rest: Buffer[] = []
    let restBytes = 0
    let need = 4
    /** Parts of a packet of 16 MB and more. */
    let parts: Buffer[] = []
    for (;;) {
      const chunk = this.#ready.shift()
      if (!chunk) {
        if (this.#failure) throw this.#failure
        await new Promise<void>((done) => {
          this.#wake = done
        })
        continue
      }
      this.#readyBytes -= chunk.length
      if (this.#readyBytes < highWater && this.#socket.isPaused()) this.#socket.resume()
      rest.push(chunk)
      restBytes += chunk.length
      if (restBytes < need) continue

      const bytes = rest.length === 1 ? chunk : Buffer.concat(rest)
      const packets: Buffer[] = []
      let at = 0
      need = 4
      while (bytes.length - at >= 4) {
        const length = bytes.readUIntLE(at, 3)
        if (bytes.length - at < length + 4) {
          need = length + 4
          break
        }
        const packet = bytes.subarray(at + 4, at + 4 + length)
        at += length + 4
        if (length === wholePacket) parts.push(packet)
        else if (parts.length > 0) {
          packets.push(Buffer.concat([...parts, packet]))
          parts = []
        } else packets.push(packet)
      }
      rest = at < bytes.length ? [bytes.subarray(at)] : []
      restBytes = bytes.length - at
      if (packets.length > 0) yield packets
    }
  }

  handBack(): void {
    this.release()
    for (const parse of this.#parse) this.#socket.on('data', parse)
    this.#socket.resume()
  }

  /** Lets go of a socket that is going to be destroyed. */
  release(): void {
    this.#socket.off('data', this.#onData)
    this.#socket.off('error', this.#onError)
    this.#socket.off('close', this.#onClose)
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#ready.push(chunk)
    this.#readyBytes += chunk.length
    if (this.#readyBytes >= highWater) this.#socket.pause()
    this.#wake?.()
  }

  readonly #onError = (error: Error): void => {
    this.#failure ??= error
    this.#wake?.()
  }

  readonly #onClose = (): void =>
    this.#onError(new IngestError('source.unreachable', 'the server closed the connection'))
}

/** An answer that is an error: 0xff, its number, `#` and five characters of SQLSTATE, its text. */
export function requireNoError(packet: Buffer): void {
  if (packet[0] !== 0xff) return
  const marked = packet[3] === 0x23
  throw new ServerError(packet.readUInt16LE(1), packet.toString('utf8', marked ? 9 : 3))
}

/** The end of rows or of the log; longer packets with this first byte are data. */
export const isEnd = (packet: Buffer): boolean => packet[0] === 0xfe && packet.length < 9

/** COM_QUERY. */
export const queryCommand = (sql: string): Buffer => Buffer.concat([Buffer.from([0x03]), Buffer.from(sql, 'utf8')])
