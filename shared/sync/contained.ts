import type { Stream } from '../connector/connector.ts'
import type { TableSnapshot } from '../delta/table.ts'
import type { Engine } from '../load/engine.ts'
import { findField } from '../schema/names.ts'
import type { Storage } from '../storage/storage.ts'
import type { Canonical } from './canonical.ts'
import { hashOf, keyOf } from './compare.ts'
import { eachSourceRow, eachTableRow } from './compare-rows.ts'

export interface Containment {
  rows: { source: number; table: number }
  /** Rows of the source that are nowhere in the table as they are now, and a few of their keys. */
  missing: number
  examples: readonly string[]
}

const EXAMPLES = 5

/**
 * Looks for every row that the source holds now among all the rows that a table has ever been given, value by value. Reads
 * both whole, the table first, and keeps eight bytes of each of its rows.
 *
 * @param stream a snapshot stream with the columns to compare
 */
export async function findMissing(
  stream: Stream,
  table: TableSnapshot,
  ports: { storage: Storage; engine: Engine },
  key: readonly string[],
): Promise<Containment> {
  const shared = stream.schema.fields.filter(({ name }) => findField(table.schema.fields, name))
  const at = shared.map(({ name }) => stream.schema.fields.findIndex((field) => field.name === name))
  const stored = new Hashes()
  await eachTableRow(shared, table, ports, (values) => stored.add(hashOf(JSON.stringify(values))))
  stored.sort()
  let [rows, missing] = [0, 0]
  const examples: string[] = []
  await eachSourceRow(stream, (all) => {
    rows += 1
    const values = at.map((i): Canonical => all[i]!)
    if (stored.has(hashOf(JSON.stringify(values)))) return
    missing += 1
    if (examples.length < EXAMPLES) examples.push(keyOf(shared, values, key))
  })
  return { rows: { source: rows, table: stored.size }, missing, examples }
}

/** A set that is filled first and asked afterwards. */
class Hashes {
  size = 0
  #all = new BigUint64Array(1024)

  add(hash: bigint): void {
    if (this.size === this.#all.length) {
      const grown = new BigUint64Array(this.#all.length * 2)
      grown.set(this.#all)
      this.#all = grown
    }
    this.#all[this.size++] = hash
  }

  sort(): void {
    this.#all = this.#all.subarray(0, this.size).sort()
  }

  has(hash: bigint): boolean {
    let [low, high] = [0, this.size]
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#all[middle]! < hash) low = middle + 1
      else high = middle
    }
    return this.#all[low] === hash
  }
}
