import { randomUUID } from 'node:crypto'

/** Randomness as an argument, so that a test can repeat a run. */
export interface Random {
  /** A fraction in [0, 1). */
  next(): number
  /** A version 4 UUID. */
  uuid(): string
}

/** The machine's own randomness. */
export const systemRandom: Random = { next: Math.random, uuid: randomUUID }
