import type { Message } from '../../core/change.ts'
import type { Json } from '../../core/json.ts'
import type { Sessions } from './session.ts'

/** The rows of a `select` as blocks of COPY text. `what` is the work in the user's words. */
export async function* copyBlocks(
  sessions: Sessions,
  what: string,
  sql: string,
): AsyncGenerator<Message<Json>, void, undefined> {
  for await (const bytes of sessions.copy(what, sql)) yield { op: 'block', format: 'copy', bytes }
}
