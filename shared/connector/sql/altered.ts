import { IngestError } from '../../core/errors.ts'
import type { ChangeStream, Selection } from '../connector.ts'

/**
 * Called where the changes of a table end before what was written to it with other columns than the stream was opened
 * with: the next run opens it with them, and reads on from there.
 *
 * @throws IngestError `source.unavailable` (retry) for a copy, which was promised the changes up to now
 */
export function endAtAlteration(
  { name, selection }: { name: string; selection: Selection },
  options: Parameters<ChangeStream['changes']>[1],
): void {
  if (options?.upToNow)
    throw new IngestError('source.unavailable', `${name} was altered while it was copied; the copy goes on`)
  selection.notice?.(`the columns of ${name} have changed: the next run goes on with them`)
}
