/** One row as plain values: see docs/adding-a-connector.md for the JavaScript value of each logical type. */
export type Row = Record<string, unknown>

/** A row was written (`upsert`; only the columns named in `absent` keep their old value), or a key was deleted. */
export type Change = { op: 'upsert'; row: Row; absent?: readonly string[] } | { op: 'delete'; key: Row }

/**
 * Rows as bytes of the source, for hot paths where no JavaScript object is made per row. Every row is an upsert.
 * `copy` is PostgreSQL COPY text; columns are in the order of the stream's schema. A chunk may end inside a row.
 */
export interface Block {
  op: 'block'
  format: 'ndjson' | 'copy' | 'csv'
  bytes: Uint8Array
}

/**
 * Vouches for every message before it: all are out, and reading may continue from `cursor`. It never splits a row of a
 * block or a transaction of the source. Leave to commit, not an order.
 */
export interface Checkpoint<C> {
  op: 'checkpoint'
  cursor: C
}

export type Message<C> = Change | Block | Checkpoint<C>

export const upsert = (row: Row): Change => ({ op: 'upsert', row })
export const remove = (key: Row): Change => ({ op: 'delete', key })
export const checkpoint = <C>(cursor: C): Checkpoint<C> => ({ op: 'checkpoint', cursor })
