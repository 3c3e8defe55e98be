import type { Json } from '../core/json.ts'
import type { StateStore } from './state-store.ts'

/** The source tables a pipeline has met, so that a new one and one that is gone can be told. */
export interface KnownTables {
  /** Source schemas that were chosen whole. */
  schemas: readonly string[]
  /** By destination: `main.shop.orders`. */
  tables: Readonly<Record<string, KnownTable>>
}

export interface KnownTable {
  schema: string
  name: string
  /** Since when the source does not have it. */
  goneSinceMs?: number
}

const keyOf = (pipeline: string) => ({ partition: `pipeline/${pipeline}`, sort: 'tables' })

/** Undefined before the first run. */
export async function readKnownTables(store: StateStore, pipeline: string): Promise<KnownTables | undefined> {
  return (await store.read(keyOf(pipeline)))?.value as KnownTables | undefined
}

export async function saveKnownTables(store: StateStore, pipeline: string, known: KnownTables): Promise<void> {
  await store.write([{ ...keyOf(pipeline), value: known as unknown as Json, expect: 'any' }])
}
