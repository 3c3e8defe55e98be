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
    actions.push(action as Action)
  }
  return actions
}
