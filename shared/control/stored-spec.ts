import { IngestError } from '../core/errors.ts'
import { type ReadSpec, readSpec } from '../pipeline/read-spec.ts'
import type { StateStore } from '../state/state-store.ts'
import { pushEntry } from './stored-push.ts'

const KEY = { partition: 'spec', sort: 'lakeflow.yml' }

/** The name of the stored file in messages. */
const FILE = 'lakeflow.yml'

/** One entry of the state store holds it: some 900 pipelines. */
const MAX_BYTES = 250_000

/** @throws IngestError `config.invalid` (fix) when nothing was stored yet */
export async function readStoredSpec(state: StateStore): Promise<ReadSpec> {
  const entry = await state.read(KEY)
  if (!entry) throw new IngestError('config.invalid', 'this deployment has no configuration yet; store a lakeflow.yml')
  return readSpec(entry.value as string, FILE)
}

/** The text as it was stored; undefined when nothing was. */
export async function storedSpecText(state: StateStore): Promise<string | undefined> {
  return (await state.read(KEY))?.value as string | undefined
}

/**
 * Replaces the configuration by one that was understood; anything else changes nothing.
 *
 * @throws IngestError `config.invalid` (fix): every problem on a line of its own
 */
export async function storeSpec(state: StateStore, text: string): Promise<ReadSpec> {
  const read = readSpec(text, FILE)
  const bytes = Buffer.byteLength(text)
  if (bytes > MAX_BYTES)
    throw new IngestError(
      'config.invalid',
      `${FILE} has ${bytes} bytes, and a deployment takes ${MAX_BYTES}; move some pipelines to another deployment (its stage in the settings)`,
    )
  await state.write([{ ...KEY, value: text, expect: 'any' }, pushEntry(read.spec.push)])
  return read
}
