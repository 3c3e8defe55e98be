import { toLine } from './batch.ts'
import { ZerobusError } from './errors.ts'
import type { Spool } from './options.ts'
import type { Sender } from './sender.ts'

/** One record: its JSON as text or as UTF-8 bytes, or an object. */
export type ZerobusRecord = string | Uint8Array | object

export interface IntakePorts {
  sender: Sender
  spool: Spool | undefined
  /** @throws ZerobusError once the stream takes no more records */
  check(): void
  /** The stream cannot go on. */
  failed(error: ZerobusError): void
}

/**
 * Takes records in the order they are given: numbers them, and hands them to the sender, once they are on disk where there is a
 * spool. Whoever gives more than the buffer holds waits in line.
 */
export class Intake {
  readonly #ports: IntakePorts
  maxRecordBytes = Number.POSITIVE_INFINITY
  /** The offset of the next record; ahead of the sender while records are being spooled. */
  next = 0
  /** The last records that were taken; those before them are in when they are. */
  #entering: Promise<unknown> = Promise.resolve()
  /** Those that wait until less is buffered. */
  #line: Promise<void> | undefined

  constructor(ports: IntakePorts) {
    this.#ports = ports
  }

  /** Resolves to the offset of the last of them, or null for none. What is no record is refused, and takes no offset. */
  take(records: readonly ZerobusRecord[]): Promise<bigint | null> {
    let lines: string[]
    try {
      this.#ports.check()
      lines = records.map((record) => toLine(record, this.maxRecordBytes))
    } catch (error) {
      return Promise.reject(error)
    }
    const entering = this.#enter(lines)
    this.#entering = entering.catch(() => {})
    return entering
  }

  /** Resolves when all records given so far are with the sender, or cannot be. */
  async settled(): Promise<void> {
    await this.#entering
  }

  async #enter(lines: readonly string[]): Promise<bigint | null> {
    if (this.#line || this.#ports.sender.isFull) await this.#waitInLine()
    if (lines.length === 0) return null
    const offset = this.next
    this.next += lines.length
    // On disk before on the wire: after a crash the spool must know of every record the server may have.
    if (this.#ports.spool) await this.#spool(this.#ports.spool, offset, lines)
    this.#ports.sender.add(lines)
    return BigInt(offset + lines.length - 1)
  }

  /** One after another, so that records enter in the order they were given, and the last one in is the last to wait for. */
  async #waitInLine() {
    const { sender, check } = this.#ports
    const line = (this.#line ?? Promise.resolve()).then(async () => {
      while (sender.isFull && !sender.hasEnded) await sender.waitForRoom()
    })
    this.#line = line
    await line
    if (this.#line === line) this.#line = undefined
    check()
  }

  async #spool(spool: Spool, offset: number, lines: readonly string[]) {
    try {
      await spool.append(offset, lines)
    } catch (cause) {
      // The offset is taken and its records are nowhere: what follows could not be numbered.
      const error = new ZerobusError('push.spool_failed', `the spool could not be written: ${cause}`, { cause })
      this.#ports.failed(error)
      throw error
    }
  }
}
