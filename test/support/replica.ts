import type { ChangeStream } from '../../shared/connector/connector.ts'
import type { Row } from '../../shared/core/change.ts'
import { type Json, JsonText } from '../../shared/core/json.ts'
import { parseCopy } from './connector-run.ts'

/** A table kept by applying what a stream says, as the engine does: the measure of a change stream in tests. */
export class Replica {
  readonly rows = new Map<string, Record<string, string | null>>()
  cursor: Json | undefined
  deletes = 0
  looked = 0
  readonly #stream: ChangeStream

  constructor(stream: ChangeStream) {
    this.#stream = stream
  }

  async load(): Promise<void> {
    this.rows.clear()
    const cutoff = await this.#stream.head()
    for (const piece of await this.#stream.split(cutoff)) {
      const blocks: Uint8Array[] = []
      for await (const message of this.#stream.backfill(piece, cutoff))
        if (message.op === 'block') blocks.push(message.bytes)
      for (const cells of parseCopy(Buffer.concat(blocks)))
        this.#put(Object.fromEntries(this.#stream.schema.fields.map(({ name }, index) => [name, cells[index] ?? null])))
    }
    this.cursor = JSON.parse(JSON.stringify(cutoff))
  }

  /** Applies changes; `stopAfter` messages it stops as a killed process does: what no checkpoint vouches for is forgotten. */
  async follow(stream = this.#stream, stopAfter = Number.POSITIVE_INFINITY): Promise<void> {
    let pending: (() => void)[] = []
    let seen = 0
    for await (const message of stream.changes(this.cursor!)) {
      if (message.op === 'checkpoint') {
        for (const apply of pending) apply()
        pending = []
        this.cursor = JSON.parse(JSON.stringify(message.cursor))
      } else if (message.op === 'upsert') pending.push(() => this.#put(message.row, message.absent))
      else if (message.op === 'delete')
        pending.push(() => {
          this.deletes++
          this.rows.delete(this.#keyOf(texts(message.key)))
        })
      else if (message.op === 'block') throw new Error('changes come as rows here')
      if (++seen >= stopAfter) return
    }
    if (pending.length > 0) throw new Error('changes ended without a checkpoint')
    await stream.acknowledge?.(this.cursor!)
  }

  /** Rows as text, by key. */
  sorted(): Record<string, string | null>[] {
    return [...this.rows.values()].sort((a, b) => (this.#keyOf(a) < this.#keyOf(b) ? -1 : 1))
  }

  #put(row: Row, absent: readonly string[] = []): void {
    const next = texts(row)
    const key = this.#keyOf(next)
    const old = this.rows.get(key)
    for (const name of absent) next[name] = old?.[name] ?? null
    this.rows.set(key, next)
  }

  #keyOf(row: Record<string, string | null>): string {
    const key = this.#stream.key.length > 0 ? this.#stream.key : Object.keys(row)
    return JSON.stringify(key.map((name) => row[name]))
  }
}

/** Values as the cells a COPY block would have. */
function texts(row: Row): Record<string, string | null> {
  return Object.fromEntries(Object.entries(row).map(([name, value]) => [name, cellOf(value)]))
}

export function cellOf(value: unknown): string | null {
  if (value === null || value === undefined) return null
  if (typeof value === 'string') return value
  if (typeof value === 'boolean') return value ? 't' : 'f'
  if (Object.is(value, -0)) return '-0'
  if (value instanceof Uint8Array) return `\\x${Buffer.from(value).toString('hex')}`
  if (value instanceof JsonText) return value.text
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}
