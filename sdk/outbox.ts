import { type Batch, endOf, makeBatch, tailOf } from './batch.ts'
import { ZerobusError } from './errors.ts'

/**
 * Records not known to be durable, in order: batches in flight, batches waiting, and the one being filled.
 *
 *     #batches  [ in flight ... | waiting ... ]  #filling
 *                          #sent ^
 */
export class Outbox {
  #batches: Batch[] = []
  #sent = 0
  #filling = makeBatch(0, [])
  /** The offset of the next record. */
  next = 0
  /** Size of all records held. */
  size = 0

  /** Puts back what an earlier stream or a spool could not get acknowledged. Only for an empty outbox. */
  restore(offset: number, batches: readonly Batch[]) {
    this.#batches = [...batches]
    this.size = batches.reduce((sum, batch) => sum + batch.size, 0)
    this.next = batches.length > 0 ? endOf(batches.at(-1)!) : offset
    this.#filling = makeBatch(this.next, [])
  }

  /** Returns the size of the batch being filled. */
  add(line: string): number {
    this.#filling.lines.push(line)
    this.#filling.size += line.length + 1
    this.size += line.length + 1
    this.next++
    return this.#filling.size
  }

  /** Ends the batch being filled. False when it is empty. */
  seal(): boolean {
    if (this.#filling.lines.length === 0) return false
    this.#batches.push(this.#filling)
    this.#filling = makeBatch(this.next, [])
    return true
  }

  /** The next batch to send, if there is one. */
  get waiting(): Batch | undefined {
    return this.#batches[this.#sent]
  }

  get inFlight(): number {
    return this.#sent
  }

  /** A batch fits when nothing is in flight, or when all that is stays within the server's window. */
  fits(batch: Batch, window: { bytes: number; records: number }): boolean {
    if (this.#sent === 0) return true
    let bytes = batch.encoded?.rows.length ?? 0
    for (let i = 0; i < this.#sent; i++) bytes += this.#batches[i]!.encoded?.rows.length ?? 0
    return bytes <= window.bytes && endOf(batch) - this.#batches[0]!.offset <= window.records
  }

  markSent() {
    this.#sent++
  }

  /** The connection is gone: everything is to be sent again. */
  rewind() {
    this.#sent = 0
  }

  /** Cuts the waiting batch in two, because it is over the limit of a message. */
  split(batch: Batch) {
    if (batch.lines.length === 1)
      throw new ZerobusError(
        'push.too_large',
        `the record at offset ${batch.offset} is over the server's message limit`,
      )
    const middle = batch.offset + (batch.lines.length >> 1)
    const head = makeBatch(batch.offset, batch.lines.slice(0, middle - batch.offset))
    this.#batches.splice(this.#sent, 1, head, tailOf(batch, middle))
  }

  /** Forgets the records below `durable`. */
  acknowledge(durable: number) {
    while (this.#batches[0] && endOf(this.#batches[0]) <= durable) {
      this.size -= this.#batches.shift()!.size
      if (this.#sent > 0) this.#sent--
    }
    const first = this.#batches[0]
    if (first && first.offset < durable) {
      this.#batches[0] = tailOf(first, durable)
      this.size -= first.size - this.#batches[0].size
    }
  }

  /** The offset of the first record held, or the next one. */
  get first(): number {
    return (this.#batches[0] ?? this.#filling).offset
  }

  unacked(): Batch[] {
    return this.#filling.lines.length > 0 ? [...this.#batches, this.#filling] : [...this.#batches]
  }
}
