import type { ChangeStream, Stream } from '../../shared/connector/connector.ts'
import type { Block, Message, Row } from '../../shared/core/change.ts'
import { type Json, JsonText } from '../../shared/core/json.ts'
import { blockRows, canonicalRow } from './block-rows.ts'
import { LawBroken } from './laws.ts'

export type TextRow = Record<string, string | null>

/** A table kept by applying what a stream says, as the engine does: the measure of a stream in tests. Values are texts. */
export class Replica {
  readonly rows = new Map<string, TextRow>()
  cursor: Json = null
  deletes = 0
  /** Every checkpoint passed, in order. */
  readonly checkpoints: Json[] = []
  /** Every checkpoint inside a piece, in order. */
  readonly placesRead: Json[] = []
  readonly #seen = new Set<string>()
  readonly #stream: Stream

  constructor(stream: Stream) {
    this.#stream = stream
  }

  /** The first copy: every piece, after a trip through JSON as the state store makes it. */
  async load(): Promise<void> {
    const stream = this.#stream
    this.rows.clear()
    this.#seen.clear()
    const cutoff = stream.kind === 'changes' ? throughJson(await stream.head()) : null
    const pieces = stream.kind === 'changes' ? await stream.split(cutoff) : await stream.split()
    for (const piece of pieces.map(throughJson))
      await this.#apply(stream.kind === 'changes' ? stream.backfill(piece, cutoff) : stream.read(piece), true)
    this.cursor = cutoff
  }

  /** Rows of one piece, or of what is left of it. */
  async read(messages: AsyncIterable<Message<Json>>): Promise<void> {
    await this.#apply(messages, true)
  }

  /** Rows of one piece before its checkpoint of this number. */
  async readUpTo(messages: AsyncIterable<Message<Json>>, place: number): Promise<void> {
    async function* before(): AsyncGenerator<Message<Json>> {
      let passed = 0
      for await (const message of messages) {
        if (message.op === 'checkpoint' && passed++ === place) return
        yield message
      }
    }
    await this.#apply(before(), true)
  }

  /** Applies changes; after `stopAfter` messages it stops as a killed process does: what no checkpoint vouches for is forgotten. */
  async follow(stream = this.#stream as ChangeStream, stopAfter = Number.POSITIVE_INFINITY): Promise<void> {
    const whole = await this.#apply(stream.changes(this.cursor), false, stopAfter)
    if (whole) await stream.acknowledge?.(this.cursor)
  }

  /** Forgets the keys that the source does not have any more. */
  async sweep(stream = this.#stream as ChangeStream): Promise<void> {
    const there = new Set<string>()
    const key = stream.schema.fields.filter(({ name }) => stream.key.includes(name)).map(({ name }) => name)
    await eachRow(stream.keys!(), key, (row) => there.add(this.#keyOf(row)))
    for (const known of [...this.rows.keys()]) if (!there.has(known)) this.rows.delete(known)
  }

  copy(): Replica {
    const copy = new Replica(this.#stream)
    for (const [key, row] of this.rows) copy.rows.set(key, row)
    copy.cursor = this.cursor
    return copy
  }

  /** Rows by key. */
  sorted(): TextRow[] {
    const { fields } = this.#stream.schema
    return [...this.rows].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => canonicalRow(row, fields))
  }

  async #apply(
    messages: AsyncIterable<Message<Json>>,
    isCopy: boolean,
    stopAfter = Number.POSITIVE_INFINITY,
  ): Promise<boolean> {
    let pending: (() => void)[] = []
    let blocks: Block[] = []
    let seen = 0
    const endBlock = () => {
      const names = this.#stream.schema.fields.map(({ name }) => name)
      for (const row of blockRows(blocks, names)) pending.push(() => put(row))
      blocks = []
    }
    const put = (row: TextRow, absent?: readonly string[]) => {
      if (isCopy && this.#stream.key.length > 0) {
        const key = this.#keyOf(row)
        if (this.#seen.has(key)) throw new LawBroken('a row is read once', `the copy has ${key} twice`)
        this.#seen.add(key)
      }
      this.#put(row, absent)
    }
    const settle = () => {
      for (const apply of pending) apply()
      pending = []
    }
    for await (const message of messages) {
      if (message.op === 'block') blocks.push({ ...message, bytes: Buffer.from(message.bytes) })
      else {
        endBlock()
        if (message.op === 'upsert') pending.push(() => put(texts(message.row), message.absent))
        else if (message.op === 'delete')
          pending.push(() => {
            this.deletes++
            this.rows.delete(this.#keyOf(texts(message.key)))
          })
        else if (isCopy) this.placesRead.push(throughJson(message.cursor))
        else {
          settle()
          this.cursor = throughJson(message.cursor)
          this.checkpoints.push(this.cursor)
        }
      }
      if (++seen >= stopAfter) return false
    }
    endBlock()
    if (pending.length > 0 && !isCopy) throw new Error('changes ended without a checkpoint')
    settle()
    return true
  }

  #put(row: TextRow, absent: readonly string[] = []): void {
    const next = { ...row }
    const key = this.#keyOf(next)
    const old = this.rows.get(key)
    for (const name of absent) next[name] = old?.[name] ?? null
    this.rows.set(key, next)
  }

  #keyOf(row: TextRow): string {
    const key = this.#stream.key.length > 0 ? this.#stream.key : Object.keys(row)
    return JSON.stringify(key.map((name) => row[name]))
  }
}

/** Rows of upserts and blocks, as texts. */
export async function eachRow(
  messages: AsyncIterable<Message<Json>>,
  columns: readonly string[],
  take: (row: TextRow) => void,
): Promise<void> {
  const blocks: Block[] = []
  for await (const message of messages)
    if (message.op === 'block') blocks.push({ ...message, bytes: Buffer.from(message.bytes) })
    else if (message.op === 'upsert') take(texts(message.row))
  for (const row of blockRows(blocks, columns)) take(row)
}

export const throughJson = (json: Json): Json => JSON.parse(JSON.stringify(json))

/** Values as the cells a COPY block would have. */
function texts(row: Row): TextRow {
  return Object.fromEntries(Object.entries(row).map(([name, value]) => [name, cellOf(value)]))
}

function cellOf(value: unknown): string | null {
  if (value === null || value === undefined) return null
  if (typeof value === 'string') return value
  if (typeof value === 'boolean') return value ? 't' : 'f'
  if (Object.is(value, -0)) return '-0'
  if (value instanceof Uint8Array) return `\\x${Buffer.from(value).toString('hex')}`
  if (value instanceof JsonText) return value.text
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}
