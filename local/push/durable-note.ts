/** How far a session is durable, as the state store knows it: a server that the session resumes on begins there. */
export class DurableNote {
  readonly #write: (durable: number) => Promise<void>
  #noted: number

  /** `noted`: what is stored by now. */
  constructor(noted: number, write: (durable: number) => Promise<void>) {
    this.#noted = noted
    this.#write = write
  }

  /** Never throws: what is missing in the note is sent again by the producer. */
  async renew(durable: number): Promise<void> {
    if (durable <= this.#noted) return
    this.#noted = durable
    try {
      await this.#write(durable)
    } catch {
      this.#noted = 0
    }
  }
}
