import { IngestError } from '../core/errors.ts'
import type { Action } from './actions.ts'

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** Actions as the bytes of a commit: one JSON object a line. */
export function encodeActions(actions: readonly Action[]): Uint8Array {
  return encoder.encode(actions.map((action) => `${JSON.stringify(action)}\n`).join(''))
}

/**
 * The actions of a commit, JSON checkpoint or compacted log file. Kinds not known here are left in place for the reader
 * to pass over (Delta protocol, "Actions").
 * @throws IngestError `table.corrupt` (fix) naming the file and line
 */
export function decodeActions(bytes: Uint8Array, path: string): Action[] {
  const actions: Action[] = []
  const lines = decoder.decode(bytes).split('\n')
  for (const [index, line] of lines.entries()) {
    if (line.trim() === '') continue
    let action: unknown
    try {
      action = JSON.parse(line)
    } catch (cause) {
      throw new IngestError('table.corrupt', `line ${index + 1} of ${path} is not JSON; restore the file`, { cause })
    }
    if (typeof action !== 'object' || action === null || Array.isArray(action)) {
      throw new IngestError('table.corrupt', `line ${index + 1} of ${path} is not an action; restore the file`)
    }
    // Some writers spell out every field that is absent.
    actions.push((/:\s*null\b/.test(line) ? withoutNulls(action) : action) as Action)
  }
  return actions
}

/** Fields that may hold null inside: a map's values. Elsewhere null is the same as absent. */
const maps: ReadonlySet<string> = new Set(['partitionValues', 'tags', 'options', 'configuration'])

/** An action without the fields that are null, and with 64-bit integers as numbers. */
export function withoutNulls(value: unknown, inMap = false): unknown {
  if (typeof value === 'bigint') return Number(value)
  if (Array.isArray(value)) return value.map((item) => withoutNulls(item))
  if (typeof value !== 'object' || value === null || value instanceof Date) return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, inner]) => inMap || inner != null)
      .map(([name, inner]) => [name, withoutNulls(inner ?? null, maps.has(name))]),
  )
}
