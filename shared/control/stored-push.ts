import { IngestError } from '../core/errors.ts'
import type { Json } from '../core/json.ts'
import { PushSpec } from '../pipeline/push-spec.ts'
import type { EntryWrite, StateStore } from '../state/state-store.ts'

/**
 * The section `push` of the stored configuration, parsed: functions of push start often, and a reader of YAML is a ninth of
 * what they would have to load.
 */
const KEY = { partition: 'spec', sort: 'push' }

/** To be written together with the text it is from. */
export const pushEntry = (push: PushSpec | undefined): EntryWrite => ({
  ...KEY,
  value: (push ?? {}) as Json,
  expect: 'any',
})

/** The section, and a version that is another one after each change. @throws IngestError `state.invalid` (fix) */
export async function readStoredPush(state: StateStore): Promise<{ push: PushSpec; version: number }> {
  const entry = await state.read(KEY)
  if (!entry) return { push: {}, version: 0 }
  const parsed = PushSpec.safeParse(entry.value)
  if (!parsed.success)
    throw new IngestError('state.invalid', 'the stored section push is of another version; store lakeflow.yml again')
  return { push: parsed.data, version: entry.version }
}
