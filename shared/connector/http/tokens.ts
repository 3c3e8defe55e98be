/** An access token and what came with it. */
export interface Token {
  value: string
}

/**
 * The access token of one connection. However many requests need one at once, it is asked for once; a failure is told to
 * all who wait and not remembered.
 */
export class Tokens<T extends Token> {
  readonly #ask: () => Promise<T>
  #current: Promise<T> | undefined

  constructor(ask: () => Promise<T>) {
    this.#ask = ask
  }

  get(): Promise<T> {
    if (this.#current) return this.#current
    const asked = this.#ask()
    this.#current = asked
    asked.catch(() => this.#forget(asked))
    return asked
  }

  /** The source did not take this token. Of those who find out together, only the first has it replaced. */
  async refuse(token: T): Promise<void> {
    const current = this.#current
    if (current && (await current.catch(() => undefined)) === token) this.#forget(current)
  }

  #forget(token: Promise<T>): void {
    if (this.#current === token) this.#current = undefined
  }
}
